-- A bucket: a list of times, oldest first. A time is the moment an admission counts from.

local function text(number)
  return string.format('%.0f', number)
end

local function time_at(key, index)
  return tonumber(redis.call('LINDEX', key, index))
end

local function push(key, time, count)
  local entry = text(time)
  while count > 0 do
    local part = math.min(count, 5000)
    local entries = {}
    for i = 1, part do entries[i] = entry end
    redis.call('RPUSH', key, unpack(entries))
    count = count - part
  end
end

-- The bucket goes when the last of it has left.
local function keep(key, time, window)
  redis.call('PEXPIRE', key, math.ceil((time - now + window) / 1000) + 1 + grace)
end

-- Drops what has left the window. Answers how many stay and the time of an admission of this moment, which is never
-- before the newest: a clock that steps back by less than a window stands still, one that steps back further takes
-- everything with it.
local function settle(key, window)
  local count = redis.call('LLEN', key)
  if count == 0 then return 0, now end
  local newest = time_at(key, -1)
  if newest > now + window then
    redis.call('DEL', key)
    push(key, now, count)
    keep(key, now, window)
    return count, now
  end
  if time_at(key, 0) + window <= now then
    -- The first that stays lies behind `gone` and not behind `stays`.
    local gone, stays, step = 0, count, 1
    while gone + step < count do
      if time_at(key, gone + step) + window <= now then
        gone = gone + step
        step = step * 2
      else
        stays = gone + step
        break
      end
    end
    while stays - gone > 1 do
      local middle = math.floor((gone + stays) / 2)
      if time_at(key, middle) + window <= now then gone = middle else stays = middle end
    end
    redis.call('LTRIM', key, stays, -1)
    count = count - stays
    if count == 0 then return 0, now end
  end
  return count, math.max(now, newest)
end

-- Time until there is room for one more than now: until the oldest leaves, or of too many as many as are too many.
local function wait(key, count, max, window)
  if count == 0 then return 0 end
  local leaving = time_at(key, math.max(count - max, 0))
  if not leaving then return window end
  return math.max(leaving + window - now, 0)
end

