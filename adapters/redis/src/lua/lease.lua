-- KEYS: buckets. ARGV: for each, the most, the window, the life of a lease, the debt, what is wanted, and the stamp and
-- number of permits that come back. Answers four numbers for each: what is granted, its stamp, what is left, and the time
-- until there is more. A grant counts from the end of its life, so that a permit used at the last moment counts for a
-- whole window.
local answer = {}
for i, key in ipairs(KEYS) do
  local at = 7 * (i - 1)
  local max, window, life = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local debt, want = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local returned = tonumber(ARGV[at + 7])
  local count, time = settle(key, window)
  if returned > 0 and count > 0 then
    count = count - redis.call('LREM', key, -returned, ARGV[at + 6])
    time = count > 0 and math.max(now, time_at(key, -1)) or now
  end
  push(key, time, debt)
  count = count + debt
  local granted = math.max(math.min(want, max - count), 0)
  local stamp = math.max(time, now + life)
  push(key, stamp, granted)
  count = count + granted
  if granted > 0 then
    keep(key, stamp, window)
  elseif debt > 0 then
    keep(key, time, window)
  end
  answer[#answer + 1] = granted
  answer[#answer + 1] = granted > 0 and stamp or 0
  answer[#answer + 1] = math.max(max - count, 0)
  answer[#answer + 1] = wait(key, count, max, window)
end
return answer
