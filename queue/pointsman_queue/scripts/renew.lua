-- Keep a worker's leases, all in one heartbeat, and say that it lives.
--
-- KEYS     none: names are built from K (keys.py)
-- ARGV[1]  worker id
-- ARGV[2]  health, JSON
-- ARGV[3]  how long the health is believed, ms
-- ARGV[4]  length of a lease, ms
-- ARGV[5]  per lease three strings, from here on: tier, job id, fence
-- Returns  fences of the leases that are lost, or whose job was called off
local time = redis.call('TIME')
local ends = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[4]))
-- First a write that frees memory: Redis then lets the rest of the script pass at maxmemory too.
redis.call('DEL', K.worker .. ARGV[1])
redis.call('SET', K.worker .. ARGV[1], ARGV[2], 'PX', ARGV[3])
local lost = {}
for i = 5, #ARGV, 3 do
  local tier, id, fence = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local job = redis.call('HMGET', K.job .. id, 'state', 'fence', 'cancel')
  if job[1] == 'leased' and job[2] == fence and not job[3] then
    redis.call('ZADD', K.leases .. tier, 'XX', ends, id)
  else
    lost[#lost + 1] = fence
  end
end
return lost
