local now = tonumber(ARGV[#ARGV])
-- Expiry goes by the clock of Redis: what callers count is kept a minute longer.
local grace = 60000

