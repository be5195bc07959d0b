-- KEYS: the set of nodes. ARGV: this node, how long one counts. Answers how many count.
local life = tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - life)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf')
redis.call('PEXPIRE', KEYS[1], math.ceil(life / 1000) + grace)
return redis.call('ZCARD', KEYS[1])
