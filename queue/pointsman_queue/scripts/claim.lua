-- Take jobs of one tier for a worker: the next ones that every limit lets through, and those that must go elsewhere.
--
-- KEYS     none: names are built from K (keys.py)
-- ARGV[1]  JSON: the tier and the worker's wish
--            tier, provider, worker
--            limit        calls the worker can start now; 0 only tidies up
--            hand_limit   jobs handed over without a call, at most
--            lease_ms, poison (lost leases that end a job)
--            limits, account {rpm, tpm, itpm, otpm, rpd, concurrency, burst_s}; 0 is not limited
--            account_tiers  tiers that share the account's concurrency
--            price_in, price_out  micro-USD a token
--            hops         class -> position of the tier on its route
--            removed      the tier is no longer configured: its jobs are only handed over
--            fragment     JSON members every record of this tier carries
-- Returns  {now us, wait ms, jobs, handed}
--          wait ms  until it is worth asking again; -1 until woken
--          jobs     {id, envelope, fence, calls, failures, tries, recoveries, path, barred, accepted us,
--                    deadline ms, cost, tokens in, tokens out, class, batch, skipped}
--          handed   the same, with the reason after it: expired, poison, cancelled, rate_limited, or why the tier is
--                   shut; and 1 if it was held, so at no tier. Leased without a call, to be settled at once
local ask = cjson.decode(ARGV[1])
local tier = ask.tier
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now_text = string.format('%d%06d', time[1], time[2])
local now_ms = math.floor(now_us / 1000)
local ready, leases, spill = K.queue .. tier, K.leases .. tier, K.spill .. tier
local wait_ms = -1

local function soonest(ms)
  ms = math.max(1, math.ceil(ms))
  if wait_ms < 0 or ms < wait_ms then wait_ms = ms end
end

local function ms_text(ms) return string.format('%.0f', ms) end

local function record(kind, text)
  redis.call('XADD', K.outbox, '*', 'at', now_text, 'record', '{"kind":"' .. kind .. '",' .. text .. '}')
end

-- A member of one of our sets that does not belong there was not put there by us. The caller has taken it out.
local function quarantine(id) record('quarantined', '"job_id":' .. cjson.encode(id) .. ',' .. ask.fragment) end

-- Back into the queue. Since when the job waits for this tier stays as it was; one called off goes to the front.
local function requeue(id, deadline, spill_at, cancel)
  redis.call('HSET', K.job .. id, 'state', 'queued')
  redis.call('ZADD', ready, cancel and 0 or deadline, id)
  if spill_at then redis.call('ZADD', spill, spill_at, id) end
end

-- 1. Leases that ran out: the worker died or froze. An open call is closed as unknown and stays charged.
local function reap()
  local lost = redis.call('ZRANGEBYSCORE', leases, '-inf', ms_text(now_ms), 'LIMIT', 0, 200)
  for _, id in ipairs(lost) do
    local key = K.job .. id
    local job = redis.call('HMGET', key, 'called', 'calls', 'fence', 'worker', 'started', 'est_in', 'est_out',
      'class', 'deadline', 'spill_at', 'cancel', 'state', 'tier')
    redis.call('ZREM', leases, id)
    if job[12] ~= 'leased' or job[13] ~= tier then
      quarantine(id)
    else
      if job[1] then
        -- The small subtraction keeps 0.07 * 100, a hair above 7, from costing 8.
        local cost = math.ceil(tonumber(job[6]) * ask.price_in + tonumber(job[7]) * ask.price_out - 0.000001)
        record('attempt_finished', string.format(
          '"job_id":%s,"attempt":%s,"hop":%d,"worker":%s,"fence":%s,"task_class":%s,"started_at":%s,'
          .. '"outcome":"unknown","input_tokens":%s,"output_tokens":%s,"usage_source":"estimate",'
          .. '"cost_microusd":%.0f,"counted":false,%s',
          cjson.encode(id), job[2], ask.hops[job[8]] or 99, cjson.encode(job[4]), job[3], cjson.encode(job[8]),
          job[5], job[6], job[7], cost, ask.fragment))
        redis.call('HINCRBY', key, 'cost', string.format('%.0f', cost))
        redis.call('HINCRBY', key, 'recoveries', 1)
      end
      redis.call('HDEL', key, 'called', 'worker', 'started')
      requeue(id, job[9], job[10], job[11])
    end
  end
  local first = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')
  if first[2] then soonest(tonumber(first[2]) - now_ms) end
end

-- 2. Jobs whose moment has come.
local function promote()
  local due = redis.call('ZRANGEBYSCORE', K.delayed .. tier, '-inf', ms_text(now_ms), 'LIMIT', 0, 500)
  for _, id in ipairs(due) do
    redis.call('ZREM', K.delayed .. tier, id)
    local job = redis.call('HMGET', K.job .. id, 'state', 'deadline', 'spill_at', 'cancel')
    if job[1] == 'delayed' then requeue(id, job[2], job[3], job[4]) else quarantine(id) end
  end
  local first = redis.call('ZRANGE', K.delayed .. tier, 0, 0, 'WITHSCORES')
  if first[2] then soonest(tonumber(first[2]) - now_ms) end
end

-- 3. Whether the tier may be called at all: switch, closing and breaker, of the tier and of its account.
local gates = {}
local function load_gate(scope)
  local flat = redis.call('HGETALL', K.gate .. scope)
  local gate = {}
  for i = 1, #flat, 2 do gate[flat[i]] = flat[i + 1] end
  gates[scope] = gate
  return gate
end

local function shut(gate)
  if gate.disabled then return 'disabled' end
  if gate.closed_until then
    local till = tonumber(gate.closed_until)
    if till < 0 then return gate.closed_reason end
    if till > now_ms then
      soonest(till - now_ms)
      return gate.closed_reason
    end
  end
  if gate.open_until and tonumber(gate.open_until) > now_ms then
    soonest(tonumber(gate.open_until) - now_ms)
    return 'breaker_open'
  end
end

-- A breaker whose time is up lets one call through; its result decides.
local function probing(gate)
  if not gate.open_until then return false end
  if gate.probe_until and tonumber(gate.probe_until) > now_ms then
    soonest(tonumber(gate.probe_until) - now_ms)
    return true, 0
  end
  return true, 1
end

-- 4. Buckets: levels refilled to this moment, of the tier and of its account.
local function dimensions(scope, limits)
  local gate, list = gates[scope], {}
  local elapsed = math.max(0, now_us - (tonumber(gate.at) or now_us)) / 1000000
  for _, name in ipairs({'rpm', 'tpm', 'itpm', 'otpm'}) do
    local rate = (limits[name] or 0) / 60
    if rate > 0 then
      local capacity = rate * limits.burst_s
      if name == 'rpm' and capacity < 1 then capacity = 1 end
      local level = math.min(capacity, (tonumber(gate[name]) or capacity) + rate * elapsed)
      list[#list + 1] = {name = name, scope = scope, rate = rate, capacity = capacity, level = level}
    end
  end
  return list
end

local function need(dimension, tokens_in, tokens_out)
  if dimension.name == 'rpm' then return 1 end
  if dimension.name == 'tpm' then return tokens_in + tokens_out end
  if dimension.name == 'itpm' then return tokens_in end
  return tokens_out
end

local day = math.floor(now_us / 86400000000)
local function day_left(gate, limits)
  if (limits.rpd or 0) == 0 then return math.huge end
  local used = tonumber(gate.day) == day and tonumber(gate.day_used) or 0
  return limits.rpd - used
end

local function slots_left()
  local left = math.huge
  if ask.limits.concurrency > 0 then left = ask.limits.concurrency - redis.call('ZCARD', leases) end
  if ask.account.concurrency > 0 then
    local busy = 0
    for _, name in ipairs(ask.account_tiers) do busy = busy + redis.call('ZCARD', K.leases .. name) end
    left = math.min(left, ask.account.concurrency - busy)
  end
  return left
end

-- 5. Leasing, with a call or without one.
local function fields_of(id)
  return redis.call('HMGET', K.job .. id, 'calls', 'failures', 'tries', 'recoveries', 'path', 'barred', 'accepted',
    'deadline', 'cost', 'chars', 'out', 'class', 'batch', 'skipped', 'cancel', 'state', 'tier')
end

-- Whether a member of the queue is a job that waits here; if not, it is put aside. Others may write to Redis too.
local function waits_here(id, job)
  if job[16] == 'queued' and job[17] == tier then return true end
  redis.call('ZREM', ready, id)
  redis.call('ZREM', spill, id)
  quarantine(id)
  return false
end

-- Fences are taken in one block; unused ones are skipped, they need only grow.
local next_fence = nil
local function fence_of()
  if not next_fence then
    local block = ask.limit + ask.hand_limit
    next_fence = redis.call('INCRBY', K.fence, block) - block
  end
  next_fence = next_fence + 1
  return string.format('%.0f', next_fence)
end

local worker_json = cjson.encode(ask.worker)
local lease_ends = ms_text(now_ms + ask.lease_ms)
local taken, leased = {}, {}
local function lease(id, job, tokens_in, tokens_out, call)
  local fence = fence_of()
  local calls = string.format('%.0f', (tonumber(job[1]) or 0) + call)
  taken[#taken + 1] = id
  leased[#leased + 1] = lease_ends
  leased[#leased + 1] = id
  if call == 1 then
    redis.call('HSET', K.job .. id, 'state', 'leased', 'fence', fence, 'worker', ask.worker, 'started', now_text,
      'est_in', tokens_in, 'est_out', tokens_out, 'calls', calls, 'called', '1')
    record('attempt_started', '"job_id":"' .. id .. '","attempt":' .. calls .. ',"hop":' .. (ask.hops[job[12]] or 99)
      .. ',"worker":' .. worker_json .. ',"fence":' .. fence .. ',"task_class":"' .. job[12] .. '",' .. ask.fragment)
  else
    redis.call('HSET', K.job .. id, 'state', 'leased', 'fence', fence, 'worker', ask.worker, 'started', now_text,
      'est_in', 0, 'est_out', 0)
  end
  local envelope = redis.pcall('GET', K.envelope .. id)
  if type(envelope) ~= 'string' then envelope = '' end
  return {id, envelope, fence, calls, job[2] or '0', job[3] or '0', job[4] or '0', job[5] or '', job[6] or '',
    job[7], job[8], job[9] or '0', tokens_in, tokens_out, job[12], job[13], job[14] or '0'}
end

-- Out of the queue and into the leases, all at once. `unpack` has room for a claim's few hundred.
local function write_leases()
  if #taken == 0 then return end
  redis.call('ZREM', ready, unpack(taken))
  redis.call('ZREM', spill, unpack(taken))
  redis.call('ZADD', leases, unpack(leased))
end

local jobs, handed = {}, {}
local function hand(id, job, reason)
  local entry = lease(id, job, 0, 0, 0)
  entry[#entry + 1] = reason
  handed[#handed + 1] = entry
end

-- Why a job must not be called for, whatever the limits say.
local function done_for(job)
  if job[15] then return 'cancelled' end
  if tonumber(job[8]) <= now_ms then return 'expired' end
  if (tonumber(job[4]) or 0) >= ask.poison then return 'poison' end
end

local tier_gate, account_gate = load_gate(tier), load_gate(ask.provider)
reap()
promote()

local function room() return math.max(0, ask.hand_limit - #handed) end

-- Out of the held jobs, and off the lists of all tiers it waited for. False if no job is held under this id.
local function unhold(id)
  redis.call('ZREM', K.held, id)
  local job = redis.call('HMGET', K.job .. id, 'state', 'waits', 'spill', 'deadline')
  redis.call('ZREM', K.held_for .. tier, id)
  for name in (job[2] or ''):gmatch('[^,]+') do redis.call('ZREM', K.held_for .. name, id) end
  if job[1] ~= 'held' then
    quarantine(id)
    return false
  end
  redis.call('HDEL', K.job .. id, 'waits')
  redis.call('HSET', K.job .. id, 'tier', tier)
  return job
end

local expired = redis.call('ZRANGEBYSCORE', K.held, '-inf', ms_text(now_ms), 'LIMIT', 0, room())
for _, id in ipairs(expired) do
  if unhold(id) then
    local job = fields_of(id)
    hand(id, job, job[15] and 'cancelled' or 'expired')
    handed[#handed][19] = 1
  end
end
local next_held = redis.call('ZRANGE', K.held, 0, 0, 'WITHSCORES')
if next_held[2] then soonest(tonumber(next_held[2]) - now_ms) end

local reason = ask.removed and 'off_route' or shut(tier_gate) or shut(account_gate)
local limit = ask.limit
if reason then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ready, '-inf', '+inf', 'LIMIT', 0, room())) do
    local job = fields_of(id)
    if waits_here(id, job) then hand(id, job, done_for(job) or reason) end
  end
  write_leases()
  if redis.call('ZCARD', ready) > 0 then soonest(1) end
  return {now_text, wait_ms, jobs, handed}
end

for _, gate in ipairs({tier_gate, account_gate}) do
  local half_open, allowed = probing(gate)
  if half_open then limit = math.min(limit, allowed) end
end

-- Held jobs come back as fast as the tier can take them.
if limit > 0 then
  for _, id in ipairs(redis.call('ZRANGE', K.held_for .. tier, 0, limit - 1)) do
    local job = unhold(id)
    if job then
      local spill_at = job[3] ~= '0' and ms_text(now_ms + tonumber(job[3])) or nil
      if spill_at then redis.call('HSET', K.job .. id, 'spill_at', spill_at) end
      requeue(id, job[4], spill_at)
    end
  end
end

local buckets = dimensions(tier, ask.limits)
for _, dimension in ipairs(dimensions(ask.provider, ask.account)) do buckets[#buckets + 1] = dimension end
local today = math.min(day_left(tier_gate, ask.limits), day_left(account_gate, ask.account))
local free = slots_left()
local throttled = math.max(tonumber(tier_gate.throttled_until) or 0, tonumber(account_gate.throttled_until) or 0)
local factor = tonumber(tier_gate.factor) or 1

-- Milliseconds until the head of the queue can go; 0 is now.
local function delay(tokens_in, tokens_out)
  local ms = math.max(0, throttled - now_ms)
  if today < 1 then ms = math.max(ms, ((day + 1) * 86400000000 - now_us) / 1000) end
  if free < 1 then ms = math.max(ms, 1000) end
  for _, dimension in ipairs(buckets) do
    -- A job larger than the bucket goes when the bucket is full, and leaves a debt.
    local missing = math.min(need(dimension, tokens_in, tokens_out), dimension.capacity) - dimension.level
    if missing > 0.000001 then ms = math.max(ms, missing / dimension.rate * 1000) end
  end
  return ms
end

local function tokens_of(job)
  return math.ceil((tonumber(job[10]) or 0) / 4 * factor), tonumber(job[11]) or 0
end

local blocked = false
local window = math.max(limit, 16) + 1
local heads = redis.call('ZRANGE', ready, 0, window - 1)
for _, id in ipairs(heads) do
  local job = fields_of(id)
  local here = waits_here(id, job)
  local verdict = here and done_for(job)
  if verdict then
    if #handed < ask.hand_limit then hand(id, job, verdict) end
  elseif here then
    local tokens_in, tokens_out = tokens_of(job)
    local ms = delay(tokens_in, tokens_out)
    if #jobs >= limit or ms > 0 then
      blocked = true
      if #jobs < limit then soonest(ms) end
      break
    end
    for _, dimension in ipairs(buckets) do
      dimension.level = dimension.level - need(dimension, tokens_in, tokens_out)
    end
    today, free = today - 1, free - 1
    jobs[#jobs + 1] = lease(id, job, tokens_in, tokens_out, 1)
  end
end
-- Not a live job among those looked at: there may be one behind them.
if not blocked and #heads == window then soonest(1) end

if #jobs > 0 then
  for _, dimension in ipairs(buckets) do
    redis.call('HSET', K.gate .. dimension.scope, dimension.name, string.format('%.6f', dimension.level))
  end
  for scope, limits in pairs({[tier] = ask.limits, [ask.provider] = ask.account}) do
    redis.call('HSET', K.gate .. scope, 'at', now_text)
    if (limits.rpd or 0) > 0 then
      local used = limits.rpd - day_left(gates[scope], limits) + #jobs
      redis.call('HSET', K.gate .. scope, 'day', day, 'day_used', used)
    end
    if gates[scope].open_until then
      redis.call('HSET', K.gate .. scope, 'probe_until', ms_text(now_ms + ask.lease_ms), 'probe', jobs[1][3])
    end
  end
end

-- Waited longer than its class lets it wait for one tier.
write_leases()
taken, leased = {}, {}
if blocked or limit == 0 then
  local late = redis.call('ZRANGEBYSCORE', spill, '-inf', ms_text(now_ms), 'LIMIT', 0, room())
  for _, id in ipairs(late) do
    local job = fields_of(id)
    redis.call('ZREM', spill, id)
    if redis.call('ZREM', ready, id) == 1 then
      if waits_here(id, job) then hand(id, job, done_for(job) or 'rate_limited') end
    end
  end
end
write_leases()
if blocked then
  local next_late = redis.call('ZRANGE', spill, 0, 0, 'WITHSCORES')
  if next_late[2] then soonest(tonumber(next_late[2]) - now_ms) end
end
return {now_text, wait_ms, jobs, handed}
