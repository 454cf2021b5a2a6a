-- Turn a tier or provider off or on, or call a job off.
--
-- KEYS     none: names are built from K (keys.py)
-- ARGV[1]  disable | enable | cancel
-- ARGV[2]  the scope: a tier's or provider's name; for cancel the job id
-- ARGV[3]  why
-- ARGV[4]  who
-- ARGV[5]  record, JSON; empty for cancel, whose record is the job's final one
-- ARGV[6]  of disable: `abort` if calls in flight are to be cut, else empty
-- ARGV[7]  tiers to wake, from here on
-- Returns  disable, enable: {'ok'}
--          cancel: {'ok', state}, {'final', state} or {'missing'}
local action, scope = ARGV[1], ARGV[2]
local time = redis.call('TIME')

if action == 'cancel' then
  local key = K.job .. scope
  local job = redis.call('HMGET', key, 'state', 'tier')
  local state, tier = job[1], job[2]
  if not state then return {'missing'} end
  if state == 'succeeded' or state == 'failed' or state == 'expired' or state == 'cancelled' then
    return {'final', state}
  end
  -- First a write that frees memory: Redis then lets the rest of the script pass at maxmemory too.
  redis.call('ZREM', K.spill .. tier, scope)
  -- The next claim hands it over as cancelled; a running call loses its lease now and its answer is not delivered.
  redis.call('HSET', key, 'cancel', ARGV[4])
  if state == 'leased' then
    redis.call('ZADD', K.leases .. tier, 'XX', 0, scope)
  elseif state == 'held' then
    redis.call('ZADD', K.held, 'XX', 0, scope)
  else
    redis.call('ZREM', K.delayed .. tier, scope)
    state = 'queued'
    redis.call('HSET', key, 'state', state)
    redis.call('ZADD', K.queue .. tier, 0, scope)
  end
  redis.call('PUBLISH', K.wake .. tier, '1')
  return {'ok', state}
end

local key = K.gate .. scope
-- What refusals taught is forgotten with them; what the vendor said in so many words is not.
local function forget_refusals()
  for _, name in ipairs({'rpm', 'tpm', 'itpm', 'otpm'}) do
    if redis.call('HGET', key, name .. ':from') == 'refusals' then
      if tonumber(redis.call('HGET', key, name) or 0) < 0 then redis.call('HSET', key, name, 0) end
      redis.call('HDEL', key, name .. ':limit', name .. ':from', name .. ':top', name .. ':cut', name .. ':grown')
    end
  end
end

local word = 'on'
if action == 'disable' then
  redis.call('HDEL', key, 'disabled', 'disabled_by', 'abort') -- frees memory first, as above
  redis.call('HSET', key, 'disabled', ARGV[3], 'disabled_by', ARGV[4])
  word = 'off'
  if ARGV[6] == 'abort' then
    redis.call('HSET', key, 'abort', '1')
    word = 'abort'
  end
else
  redis.call('HDEL', key, 'disabled', 'disabled_by', 'abort', 'closed_until', 'closed_reason', 'open_until', 'opens',
    'probe', 'probe_job', 'health', 'throttled_until', 'streak', 'free_at')
  forget_refusals()
end
redis.call('XADD', K.outbox, '*', 'at', string.format('%d%06d', time[1], time[2]), 'record', ARGV[5])
-- A worker that hears it starts none of the calls it has claimed already.
redis.call('PUBLISH', K.wake .. scope, word)
for i = 7, #ARGV do redis.call('PUBLISH', K.wake .. ARGV[i], '1') end
return {'ok'}
