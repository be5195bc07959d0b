-- KEYS: buckets. ARGV: for each, the most and the window. Answers three numbers for each: whether it admits, what is
-- left, and the time until there is more. All are charged or none.
local counts, times = {}, {}
local admitted = true
for i, key in ipairs(KEYS) do
  counts[i], times[i] = settle(key, tonumber(ARGV[2 * i]))
  if counts[i] >= tonumber(ARGV[2 * i - 1]) then admitted = false end
end
local answer = {}
for i, key in ipairs(KEYS) do
  local max, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local admits = counts[i] < max
  if admitted then
    redis.call('RPUSH', key, text(times[i]))
    keep(key, times[i], window)
    counts[i] = counts[i] + 1
  end
  answer[#answer + 1] = admits and 1 or 0
  answer[#answer + 1] = math.max(max - counts[i], 0)
  answer[#answer + 1] = max == 0 and window or wait(key, counts[i], max, window)
end
return answer
