-- Keep a worker's leases, all in one heartbeat, and say that it lives and what it serves.
--
-- KEYS     none: names are built from K (keys.py)
-- ARGV[1]  worker id
-- ARGV[2]  health, JSON
-- ARGV[3]  how long the health is believed, ms
-- ARGV[4]  length of a lease, ms
-- ARGV[5]  tiers it serves, joined by commas
-- ARGV[6]  per lease three strings, from here on: tier, job id, fence
-- Returns  {lost, cut}, fences both
--          lost  leases that are gone, or whose job was called off
--          cut   leases that are kept, of a tier whose calls an operator has aborted
local time = redis.call('TIME')
local ends = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[4]))
-- First a write that frees memory: Redis then lets the rest of the script pass at maxmemory too.
redis.call('DEL', K.worker .. ARGV[1])
redis.call('SET', K.worker .. ARGV[1], ARGV[2], 'PX', ARGV[3])
for tier in ARGV[5]:gmatch('[^,]+') do redis.call('HSET', K.gate .. tier, 'served_until', ends) end

local aborted = {}
local function is_aborted(tier)
  if aborted[tier] == nil then
    aborted[tier] = redis.call('HEXISTS', K.gate .. tier, 'abort') == 1
      or redis.call('HEXISTS', K.gate .. tier:match('^[^/]*'), 'abort') == 1
  end
  return aborted[tier]
end

local lost, cut = {}, {}
for i = 6, #ARGV, 3 do
  local tier, id, fence = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local job = redis.call('HMGET', K.job .. id, 'state', 'fence', 'cancel')
  if job[1] == 'leased' and job[2] == fence and not job[3] then
    redis.call('ZADD', K.leases .. tier, 'XX', ends, id)
    if is_aborted(tier) then cut[#cut + 1] = fence end
  else
    lost[#lost + 1] = fence
  end
end
return {lost, cut}
