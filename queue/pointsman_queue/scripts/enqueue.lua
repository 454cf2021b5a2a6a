-- Take in the jobs of one batch: all of them, or none.
--
-- KEYS     none: names are built from K (keys.py)
-- ARGV[1]  batch id
-- ARGV[2]  share of maxmemory above which nothing is taken, such as 0.75
-- ARGV[3]  per job four strings, from here on:
--            id
--            head: class|tier|deadline ms|spill ms|characters|max tokens|prompt digest
--            envelope
--            accepted record, JSON
-- Returns  {'ok', flags} with one character a job: 1 accepted, 0 known before
--          {'conflict', id} the id is taken by a job that asks something else
--          {'full', used, maxmemory} bytes
local memory = redis.call('INFO', 'memory')
local used = tonumber(memory:match('used_memory:(%d+)'))
local maxmemory = tonumber(memory:match('maxmemory:(%d+)'))
if maxmemory and maxmemory > 0 and used > maxmemory * tonumber(ARGV[2]) then
  return {'full', used, maxmemory}
end

local batch = ARGV[1]
local known, asked = {}, {}
for i = 3, #ARGV, 4 do
  local id, digest = ARGV[i], ARGV[i + 1]:match('[^|]*$')
  local before = asked[id]
  if not before then
    before = redis.call('HGET', K.job .. id, 'digest')
    known[id] = before and true or nil
    asked[id] = digest
  end
  if before and before ~= digest then return {'conflict', id} end
end

local time = redis.call('TIME')
local now_us = string.format('%d%06d', time[1], time[2])
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local flags, tiers, accepted = {}, {}, 0
for i = 3, #ARGV, 4 do
  local id = ARGV[i]
  if known[id] then
    flags[#flags + 1] = '0'
  else
    known[id] = true
    flags[#flags + 1] = '1'
    local class, tier, deadline_ms, spill_ms, characters, max_tokens, digest =
      ARGV[i + 1]:match('^(.-)|(.-)|(.-)|(.-)|(.-)|(.-)|(.*)$')
    -- The fraction keeps jobs of one call in their order; a double has room for 1/4096 ms here.
    local deadline = string.format('%.4f', now_ms + tonumber(deadline_ms) + accepted / 4096)
    redis.call('HSET', K.job .. id, 'state', 'queued', 'tier', tier, 'class', class, 'batch', batch,
      'deadline', deadline, 'spill', spill_ms, 'chars', characters, 'out', max_tokens,
      'digest', digest, 'accepted', now_us)
    redis.call('SET', K.envelope .. id, ARGV[i + 2])
    redis.call('ZADD', K.queue .. tier, deadline, id)
    if spill_ms ~= '0' then
      local spill_at = string.format('%.0f', now_ms + tonumber(spill_ms))
      redis.call('HSET', K.job .. id, 'spill_at', spill_at)
      redis.call('ZADD', K.spill .. tier, spill_at, id)
    end
    redis.call('XADD', K.outbox, '*', 'at', now_us, 'record', ARGV[i + 3])
    tiers[tier] = true
    accepted = accepted + 1
  end
end
if accepted > 0 then
  redis.call('HINCRBY', K.batch .. batch, 'total', accepted)
  redis.call('PERSIST', K.batch .. batch)
  redis.call('PERSIST', K.done .. batch)
  for tier in pairs(tiers) do redis.call('PUBLISH', K.wake .. tier, '1') end
end
return {'ok', table.concat(flags)}
