-- End attempts: outcome recorded, buckets corrected, each job finished, moved, delayed, held or given back.
--
-- KEYS     none: names are built from K (keys.py)
-- ARGV[1]  how long results are kept, ms
-- ARGV[2]  per settlement, from here on: head, result line, then `records` record strings
--            head, JSON: id, fence, tier, provider, records
--              step       finish | move | delay | hold | release
--              state      of a finish; to of a move; wait_ms of a delay; tiers of a hold
--              set        fields of the job to write: failures, tries, path, barred, cost, calls
--              called     whether a call was made; if not, the whole reservation is refunded
--              real_in, real_out  tokens used; absent keeps the estimate charged
--              healthy    true | false, what the breaker is told; absent says nothing
--              throttle_ms  closes the buckets for all; 0: the vendor named no time
--              close      {reason, ms}; ms -1 waits for the operator
-- Returns  per settlement 'ok', or 'stale' when the lease was lost: then nothing was written
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local now_text = string.format('%d%06d', time[1], time[2])
local keep_ms = ARGV[1]
local SMOOTHING, OPEN_MS, OPEN_MOST_MS = 0.1, 10000, 300000

local function ms_text(ms) return string.format('%.0f', ms) end

-- Unused tokens are free at once; overshoot is a debt. A level may pass the capacity here: the next claim caps it.
local function correct(scope, refunds)
  local key = K.gate .. scope
  local levels = redis.call('HMGET', key, 'rpm', 'tpm', 'itpm', 'otpm')
  for i, name in ipairs({'rpm', 'tpm', 'itpm', 'otpm'}) do
    if levels[i] and refunds[name] ~= 0 then
      redis.call('HSET', key, name, string.format('%.6f', tonumber(levels[i]) + refunds[name]))
    end
  end
end

local function account(head, job)
  local est_in, est_out = tonumber(job[1]) or 0, tonumber(job[2]) or 0
  local unused_in, unused_out = 0, 0
  if not head.called then
    unused_in, unused_out = est_in, est_out
  elseif head.real_in then
    unused_in, unused_out = est_in - head.real_in, est_out - head.real_out
  end
  local refunds = {rpm = head.called and 0 or 1, tpm = unused_in + unused_out, itpm = unused_in, otpm = unused_out}
  correct(head.tier, refunds)
  correct(head.provider, refunds)
  local base = (tonumber(job[3]) or 0) / 4
  if head.called and head.real_in and base >= 1 then
    -- The tier's tokens per estimated token, smoothed over about twenty answers.
    local key = K.gate .. head.tier
    local factor = tonumber(redis.call('HGET', key, 'factor')) or 1
    factor = math.max(0.1, math.min(10, factor + (head.real_in / base - factor) * 0.05))
    redis.call('HSET', key, 'factor', string.format('%.4f', factor))
  end
end

-- `failing` is the smoothed share of failed calls: seven failures in a row, or half of about twenty, open the breaker.
-- When its time is up one probe goes out: a good one closes it, a failed one doubles the time. Calls that were
-- under way when it opened say nothing.
local function breaker(scope, healthy)
  local key = K.gate .. scope
  local gate = redis.call('HMGET', key, 'failing', 'open_until', 'opens')
  if gate[2] then
    if tonumber(gate[2]) > now_ms then return end
    if healthy then
      redis.call('HDEL', key, 'open_until', 'opens', 'probe_until', 'failing')
      redis.call('PUBLISH', K.wake .. scope, '1')
    elseif healthy == false then
      local opens = (tonumber(gate[3]) or 0) + 1
      local open_ms = math.min(OPEN_MOST_MS, OPEN_MS * 2 ^ (opens - 1))
      redis.call('HSET', key, 'open_until', ms_text(now_ms + open_ms), 'opens', opens)
      redis.call('HDEL', key, 'probe_until')
    else
      redis.call('HDEL', key, 'probe_until')
    end
    return
  end
  if healthy == nil then return end
  local before = tonumber(gate[1]) or 0
  local failing = before + ((healthy and 0 or 1) - before) * SMOOTHING
  if failing >= 0.5 then
    redis.call('HSET', key, 'open_until', ms_text(now_ms + OPEN_MS), 'opens', 1)
    redis.call('HDEL', key, 'failing')
    redis.call('PUBLISH', K.wake .. scope, '1')
  elseif failing ~= before then
    redis.call('HSET', key, 'failing', string.format('%.4f', failing))
  end
end

local function throttle(scope, ms)
  local key = K.gate .. scope
  if ms == 0 then
    -- No time named: 1 s, doubled with each refusal in a row, 60 s at most.
    local streak = redis.call('HINCRBY', key, 'streak', 1)
    ms = math.min(60000, 1000 * 2 ^ math.min(streak - 1, 10))
  end
  local till = math.max(tonumber(redis.call('HGET', key, 'throttled_until')) or 0, now_ms + ms)
  redis.call('HSET', key, 'throttled_until', ms_text(till))
  redis.call('HINCRBY', key, 'throttles', 1)
end

local function close(scope, closing)
  local till = closing.ms < 0 and -1 or now_ms + closing.ms
  redis.call('HSET', K.gate .. scope, 'closed_until', ms_text(till), 'closed_reason', closing.reason)
  redis.call('PUBLISH', K.wake .. scope, '1')
end

local function to_queue(id, tier, deadline, spill_ms)
  redis.call('HSET', K.job .. id, 'state', 'queued', 'tier', tier)
  redis.call('ZADD', K.queue .. tier, deadline, id)
  if spill_ms and spill_ms ~= '0' then
    redis.call('ZADD', K.spill .. tier, ms_text(now_ms + tonumber(spill_ms)), id)
  end
  redis.call('PUBLISH', K.wake .. tier, '1')
end

local steps = {}

function steps.finish(head, job, result)
  local id, batch = head.id, job[5]
  redis.call('HSET', K.job .. id, 'state', head.state)
  redis.call('SET', K.result .. id, result, 'PX', keep_ms)
  redis.call('PEXPIRE', K.job .. id, keep_ms)
  if head.state == 'succeeded' then
    redis.call('DEL', K.envelope .. id)
  else
    redis.call('PEXPIRE', K.envelope .. id, keep_ms)
  end
  redis.call('HINCRBY', K.batch .. batch, head.state, 1)
  redis.call('XADD', K.done .. batch, '*', 'id', id)
  local counts = redis.call('HMGET', K.batch .. batch, 'total', 'succeeded', 'failed', 'expired', 'cancelled')
  local ended = 0
  for i = 2, 5 do ended = ended + (tonumber(counts[i]) or 0) end
  if ended >= (tonumber(counts[1]) or 0) then
    redis.call('PEXPIRE', K.batch .. batch, keep_ms)
    redis.call('PEXPIRE', K.done .. batch, keep_ms)
  end
end

function steps.move(head, job) to_queue(head.id, head.to, job[6], job[7]) end

function steps.release(head, job) to_queue(head.id, head.tier, job[6], job[7]) end

function steps.delay(head, job)
  redis.call('HSET', K.job .. head.id, 'state', 'delayed')
  redis.call('ZADD', K.delayed .. head.tier, ms_text(now_ms + head.wait_ms), head.id)
  redis.call('PUBLISH', K.wake .. head.tier, '1')
end

function steps.hold(head, job)
  redis.call('HSET', K.job .. head.id, 'state', 'held')
  redis.call('ZADD', K.held, job[6], head.id)
  for _, tier in ipairs(head.tiers) do redis.call('ZADD', K.held_for .. tier, job[6], head.id) end
end

local replies = {}
local at = 2
while at <= #ARGV do
  local head, result = cjson.decode(ARGV[at]), ARGV[at + 1]
  local first_record = at + 2
  at = first_record + head.records
  local key = K.job .. head.id
  local job = redis.call('HMGET', key, 'est_in', 'est_out', 'chars', 'state', 'batch', 'deadline', 'spill', 'fence')
  if job[4] ~= 'leased' or job[8] ~= head.fence then
    replies[#replies + 1] = 'stale'
  else
    -- First a write that frees memory: Redis then lets the rest of the script pass at maxmemory too.
    redis.call('ZREM', K.leases .. head.tier, head.id)
    redis.call('HDEL', key, 'called', 'worker', 'started', 'est_in', 'est_out')
    account(head, job)
    if head.called then breaker(head.tier, head.healthy) end
    if head.healthy then redis.call('HDEL', K.gate .. head.tier, 'streak') end
    if head.throttle_ms then throttle(head.tier, head.throttle_ms) end
    if head.close then close(head.tier, head.close) end
    for name, value in pairs(head.set) do redis.call('HSET', key, name, value) end
    steps[head.step](head, job, result)
    for i = first_record, at - 1 do
      redis.call('XADD', K.outbox, '*', 'at', now_text, 'record', ARGV[i])
    end
    replies[#replies + 1] = 'ok'
  end
end
return replies
