local parts = redis.call('TIME')
local now = tonumber(parts[1]) * 1000000 + tonumber(parts[2])
-- Times of this clock and of expiry are the same clock's.
local grace = 0

