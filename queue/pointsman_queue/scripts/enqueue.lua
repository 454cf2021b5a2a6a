-- Take in the jobs of one batch: all of them, or none.
--
-- KEYS     none: names are built from K (keys.py)
-- ARGV[1]  batch id
-- ARGV[2]  share of maxmemory above which nothing is taken, such as 0.75
-- ARGV[3]  per job four strings, from here on:
--            id
--            head: prompt digest|class|tier|deadline ms|spill ms|characters|max tokens
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

local call = redis.call
local batch, first, last = ARGV[1], 3, #ARGV
local GROUP = 500

-- Whether any of the ids is known: almost never, so it is asked for many at once, and for each only if so.
local function some_known()
  for from = first, last, 4 * GROUP do
    local names = {}
    for i = from, math.min(last, from + 4 * GROUP - 1), 4 do names[#names + 1] = K.job .. ARGV[i] end
    if call('EXISTS', unpack(names)) > 0 then return true end
  end
  return false
end

local known, asked = {}, {}
local look = some_known()
for i = first, last, 4 do
  local id, digest = ARGV[i], ARGV[i + 1]:match('^[^|]*')
  local before = asked[id]
  if not before then
    if look then
      before = call('HGET', K.job .. id, 'digest')
      known[id] = before and true or nil
    end
    asked[id] = digest
  end
  if before and before ~= digest then return {'conflict', id} end
end

local time = redis.call('TIME')
local now_us = string.format('%d%06d', time[1], time[2])
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local format = string.format
local flags, accepted = {}, 0
local queued, spilling, envelopes, spill_moments = {}, {}, {}, {}

local function add(lists, key, score, id)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  list[#list + 1] = score
  list[#list + 1] = id
  if #list == 2 * GROUP then
    call('ZADD', key, unpack(list))
    lists[key] = nil
  end
end

local function write(lists)
  for key, list in pairs(lists) do call('ZADD', key, unpack(list)) end
end

local tiers = {}
for i = first, last, 4 do
  local id = ARGV[i]
  if known[id] then
    flags[#flags + 1] = '0'
  else
    known[id] = true
    flags[#flags + 1] = '1'
    local digest, class, tier, deadline_ms, spill_ms, characters, max_tokens =
      ARGV[i + 1]:match('^([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
    -- The fraction keeps jobs of one call in their order; a double has room for 1/4096 ms here.
    local deadline = format('%.4f', now_ms + deadline_ms + accepted / 4096)
    if spill_ms == '0' then
      call('HSET', K.job .. id, 'state', 'queued', 'tier', tier, 'class', class, 'batch', batch,
        'deadline', deadline, 'spill', '0', 'chars', characters, 'out', max_tokens, 'digest', digest,
        'accepted', now_us)
    else
      local spill_at = spill_moments[spill_ms]
      if not spill_at then
        spill_at = format('%.0f', now_ms + spill_ms)
        spill_moments[spill_ms] = spill_at
      end
      call('HSET', K.job .. id, 'state', 'queued', 'tier', tier, 'class', class, 'batch', batch,
        'deadline', deadline, 'spill', spill_ms, 'chars', characters, 'out', max_tokens, 'digest', digest,
        'accepted', now_us, 'spill_at', spill_at)
      add(spilling, K.spill .. tier, spill_at, id)
    end
    envelopes[#envelopes + 1] = K.envelope .. id
    envelopes[#envelopes + 1] = ARGV[i + 2]
    if #envelopes == 2 * GROUP then
      call('MSET', unpack(envelopes))
      envelopes = {}
    end
    add(queued, K.queue .. tier, deadline, id)
    call('XADD', K.outbox, '*', 'at', now_us, 'record', ARGV[i + 3])
    tiers[tier] = true
    accepted = accepted + 1
  end
end
if accepted > 0 then
  if #envelopes > 0 then call('MSET', unpack(envelopes)) end
  write(queued)
  write(spilling)
  call('HINCRBY', K.batch .. batch, 'total', accepted)
  call('PERSIST', K.batch .. batch)
  call('PERSIST', K.done .. batch)
  for tier in pairs(tiers) do
    call('SADD', K.tiers, tier)
    call('PUBLISH', K.wake .. tier, '1')
  end
end
return {'ok', table.concat(flags)}
