-- Take jobs of one tier for a worker: the next ones that every limit lets through, and those that must go elsewhere.
--
-- KEYS     none: names are built from K (keys.py)
-- ARGV[1]  JSON: the tier and the worker's wish
--            tier, provider, worker
--            limit        calls the worker can start now; 0 only tidies up
--            hand_limit   jobs handed over without a call, at most
--            lease_ms, poison (lost leases that end a job)
--            conf, account_conf  JSON texts: {rpm, tpm, itpm, otpm, rpd, concurrency, burst_s, learn, counts, zone_s};
--                         0 is not limited; absent if `removed`, and where nothing but tidying up is wished for
--            account_tiers  tiers that share the account's limits
--            others       class -> tiers its jobs may go to from here, the best first; absent if there are none
--            least_spill_ms  the shortest time a class lets its jobs wait here
--            price_in, price_out  micro-USD a token
--            hops         class -> position of the tier on its route, for every class that it may serve; a job of another
--                         class is handed over
--            removed      the tier is not configured here: its jobs are only handed over, if no worker serves it
--            names        JSON members every record of this tier carries: tier, policy_digest
--            call_names   further ones of records of a call: provider, owner, model, region
-- Returns  {now us, wait ms, jobs, handed}
--          wait ms  until it is worth asking again; -1 until woken
--          jobs     {id, envelope, fence, calls, failures, tries, recoveries, path, barred, accepted us,
--                    deadline ms, cost, tokens in, tokens out, class, batch, skipped, refusals in a row}
--          handed   the same, then the reason: expired, poison, cancelled, off_route, rate_limited, unserved, or why the
--                   tier is shut; then `held` if it was held, so at no tier, or for rate_limited and unserved the tier
--                   where it waits less. Leased without a call, to be settled at once
local ask = cjson.decode(ARGV[1])
local tier = ask.tier
local here = place_of(tier, ask.conf, ask.provider, ask.account_conf, ask.account_tiers)
local tier_gate, account_gate = here.gates[1], here.gates[2]
local ready, leases, spill = K.queue .. tier, K.leases .. tier, K.spill .. tier
local call_names = ask.call_names .. ',' .. ask.names
local wait_ms = -1

local function soonest(ms)
  ms = math.max(1, math.ceil(ms))
  if wait_ms < 0 or ms < wait_ms then wait_ms = ms end
end

local function record(kind, text)
  redis.call('XADD', K.outbox, '*', 'at', now_text, 'record', '{"kind":"' .. kind .. '",' .. text .. '}')
end

-- A member of one of our sets that does not belong there was not put there by us. The caller has taken it out.
local function quarantine(id)
  record('quarantined', '"job_id":' .. cjson.encode(id) .. ',"reason":"not a job that waits here",' .. ask.names)
end

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
      'class', 'deadline', 'spill_at', 'cancel', 'state', 'tier', 'batch')
    redis.call('ZREM', leases, id)
    if job[12] ~= 'leased' or job[13] ~= tier then
      quarantine(id)
    else
      if job[1] then
        for _, gate in ipairs(here.gates) do
          fly(gate, -1, -(tonumber(job[6]) or 0), -(tonumber(job[7]) or 0))
          unheard(gate, {}, tonumber(job[6]) or 0, tonumber(job[7]) or 0)
        end
        -- The small subtraction keeps 0.07 * 100, a hair above 7, from costing 8.
        local cost = math.ceil(tonumber(job[6]) * ask.price_in + tonumber(job[7]) * ask.price_out - 0.000001)
        record('attempt_finished', string.format(
          '"job_id":%s,"attempt":%s,"hop":%d,"worker":%s,"fence":%s,"task_class":%s,"batch_id":%s,"started_at":%s,'
          .. '"outcome":"unknown","input_tokens":%s,"output_tokens":%s,"usage_source":"estimate",'
          .. '"cost_microusd":%.0f,"counted":false,%s',
          cjson.encode(id), job[2], ask.hops[job[8]] or 99, cjson.encode(job[4]), job[3], cjson.encode(job[8]),
          cjson.encode(job[14]), job[5], job[6], job[7], cost, call_names))
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
local function shut(gate)
  if gate.has.disabled then return 'disabled' end
  local till, open_until = number_in(gate, 'closed_until'), number_in(gate, 'open_until')
  if till and (till < 0 or till > now_ms) then
    if till > 0 then soonest(till - now_ms) end
    return gate.has.closed_reason
  end
  if open_until and open_until > now_ms then
    soonest(open_until - now_ms)
    return 'breaker_open'
  end
end

-- A breaker whose time is up lets one call through; its result decides. As long as that call holds its lease there is no
-- other.
local function probing(gate)
  if not gate.has.open_until then return false end
  local probe, id = gate.has.probe, gate.has.probe_job
  local ends = id and tonumber(redis.call('ZSCORE', leases, id) or nil)
  if ends and redis.call('HGET', K.job .. id, 'fence') == probe then
    soonest(ends - now_ms)
    return true, 0
  end
  return true, 1
end

-- 4. Leasing, with a call or without one.
local function fields_of(id)
  return redis.call('HMGET', K.job .. id, 'calls', 'failures', 'tries', 'recoveries', 'path', 'barred', 'accepted',
    'deadline', 'cost', 'chars', 'out', 'class', 'batch', 'skipped', 'cancel', 'state', 'tier', 'refused')
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
    admit(here, tokens_in, tokens_out)
    record('attempt_started', '"job_id":"' .. id .. '","attempt":' .. calls .. ',"hop":' .. (ask.hops[job[12]] or 99)
      .. ',"worker":' .. worker_json .. ',"fence":' .. fence .. ',"task_class":"' .. job[12] .. '","batch_id":"'
      .. job[13] .. '",' .. call_names)
  else
    redis.call('HSET', K.job .. id, 'state', 'leased', 'fence', fence, 'worker', ask.worker, 'started', now_text,
      'est_in', 0, 'est_out', 0)
  end
  local envelope = redis.pcall('GET', K.envelope .. id)
  if type(envelope) ~= 'string' then envelope = '' end
  return {id, envelope, fence, calls, job[2] or '0', job[3] or '0', job[4] or '0', job[5] or '', job[6] or '',
    job[7], job[8], job[9] or '0', tokens_in, tokens_out, job[12], job[13], job[14] or '0', job[18] or '0'}
end

-- Out of the queue and into the leases, all at once. `unpack` has room for a claim's few hundred.
local function write_leases()
  if #taken == 0 then return end
  redis.call('ZREM', ready, unpack(taken))
  redis.call('ZREM', spill, unpack(taken))
  redis.call('ZADD', leases, unpack(leased))
  taken, leased = {}, {}
end

local jobs, handed = {}, {}
local function hand(id, job, reason, more)
  local entry = lease(id, job, 0, 0, 0)
  entry[#entry + 1] = reason
  entry[#entry + 1] = more
  handed[#handed + 1] = entry
end

-- Why a job must not be called for, whatever the limits say.
local function done_for(job)
  if job[15] then return 'cancelled' end
  if tonumber(job[8]) <= now_ms then return 'expired' end
  if (tonumber(job[4]) or 0) >= ask.poison then return 'poison' end
  if not ask.removed and not ask.hops[job[12]] then return 'off_route' end
end

-- A newer configuration has it, or an older one still: then all of it is left to the worker that knows it.
if ask.removed and is_served(tier_gate) then return {now_text, -1, {}, {}} end

reap()
promote()

local function room() return math.max(0, ask.hand_limit - #handed) end

-- 5. Jobs that would wait too long here go where they wait less. A job with nowhere better to go stays. Where no worker
-- lives the wait has no end.
local function leaves_for(job, here_ms) return better(ask.others[job[12]] or {}, job[6] or '', here_ms) end

-- Those that have waited as long as their class lets them wait for one tier. With nowhere better to go they are looked at
-- again after that time, but nobody is kept busy by them.
local LOOK_MS = 1000
local function spill_late(first_ms)
  local late = is_served(tier_gate) and 'rate_limited' or 'unserved'
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', spill, '-inf', ms_text(now_ms), 'LIMIT', 0, room())) do
    local job, rank = fields_of(id), redis.call('ZRANK', ready, id)
    if not rank then
      redis.call('ZREM', spill, id)
    elseif waits_here(id, job) then
      local done = done_for(job)
      local there = not done and leaves_for(job, first_ms + rank * (number_in(tier_gate, 'pace') or 0))
      if done or there then
        hand(id, job, done or late, there or nil)
      else
        local again = math.max(LOOK_MS, tonumber(redis.call('HGET', K.job .. id, 'spill')) or 0)
        local spill_at = ms_text(now_ms + again)
        redis.call('HSET', K.job .. id, 'spill_at', spill_at)
        redis.call('ZADD', spill, spill_at, id)
      end
    end
  end
end

-- Those that would wait longer, by the pace of the limits: they go at once. A stretch of the queue is looked at in each
-- claim, from the first rank that could be too far behind.
local function spill_early(first_ms)
  if not ask.least_spill_ms then return end
  local pace, queued = number_in(tier_gate, 'pace') or 0, redis.call('ZCARD', ready)
  local from = 0
  if first_ms <= ask.least_spill_ms then
    if pace <= 0 then return end
    from = math.floor((ask.least_spill_ms - first_ms) / pace)
  end
  if from >= queued or room() == 0 then return end
  local scan = number_in(tier_gate, 'scan') or 0
  if scan < from or scan >= queued then scan = from end
  local stays = 0
  local ids = redis.call('ZRANGE', ready, scan, scan + room() - 1)
  for i, id in ipairs(ids) do
    local spill_at = tonumber(redis.call('ZSCORE', spill, id) or nil)
    local wait_here = first_ms + (scan + i - 1) * pace
    local there = nil
    if spill_at and now_ms + wait_here > spill_at then
      local job = fields_of(id)
      there = waits_here(id, job) and not done_for(job) and leaves_for(job, wait_here)
      if there then hand(id, job, 'rate_limited', there) end
    end
    if not there then stays = stays + 1 end
  end
  put(tier_gate, 'scan', scan + stays)
end

-- Out of the held jobs, and off the lists of all tiers it waited for. False if no job is held under this id.
local function unhold(id)
  redis.call('ZREM', K.held, id)
  local job = redis.call('HMGET', K.job .. id, 'state', 'waits', 'spill', 'deadline', 'class', 'batch')
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
    hand(id, job, job[15] and 'cancelled' or 'expired', 'held')
  end
end
local next_held = redis.call('ZRANGE', K.held, 0, 0, 'WITHSCORES')
if next_held[2] then soonest(tonumber(next_held[2]) - now_ms) end

if ask.limit > 0 and (number_in(tier_gate, 'served_until') or 0) < now_ms + ask.lease_ms / 2 then
  put(tier_gate, 'served_until', ms_text(now_ms + ask.lease_ms))
end
local reason = ask.removed and 'off_route' or shut(tier_gate) or shut(account_gate)
local limit = ask.limit
if reason then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', ready, '-inf', '+inf', 'LIMIT', 0, room())) do
    local job = fields_of(id)
    if waits_here(id, job) then hand(id, job, done_for(job) or reason) end
  end
  write_leases()
  write_gates()
  if redis.call('ZCARD', ready) > 0 then soonest(1) end
  return {now_text, wait_ms, jobs, handed}
end

for _, gate in ipairs(here.gates) do
  local half_open, allowed = probing(gate)
  if half_open then limit = math.min(limit, allowed) end
end

-- Held jobs come back as fast as the tier can take them, once all that are over have been handed over.
local all_alive = not next_held[2] or tonumber(next_held[2]) > now_ms
if limit > 0 and all_alive then
  for _, id in ipairs(redis.call('ZRANGE', K.held_for .. tier, 0, limit - 1)) do
    local job = unhold(id)
    if job then
      local spill_at = job[3] ~= '0' and ms_text(now_ms + tonumber(job[3])) or nil
      if spill_at then redis.call('HSET', K.job .. id, 'spill_at', spill_at) end
      requeue(id, job[4], spill_at)
      record('released', '"job_id":"' .. id .. '","batch_id":"' .. job[6] .. '","task_class":"' .. job[5] .. '",'
        .. ask.names)
    end
  end
end

measure(here)
local blocked, wait, spares = false, 0, nil
local window = math.max(limit, 16) + 1
local heads = redis.call('ZRANGE', ready, 0, window - 1)
for _, id in ipairs(heads) do
  local job = fields_of(id)
  local ours = waits_here(id, job)
  local verdict = ours and done_for(job)
  if verdict then
    if #handed < ask.hand_limit then hand(id, job, verdict) end
  elseif ours and #jobs >= limit then
    blocked = true
    break
  elseif ours then
    local tokens_in, tokens_out = estimate(here, job[12], job[10], job[11])
    local ms = delay(here, tokens_in, tokens_out)
    if ms > 0 and not blocked then
      blocked, wait = true, ms
      soonest(ms)
      spares = wait_first(here, id, tokens_in, tokens_out, ms)
      if not spares then break end
    elseif ms <= 0 and (not blocked or passes(here, spares, tokens_in, tokens_out)) then
      jobs[#jobs + 1] = lease(id, job, tokens_in, tokens_out, 1)
    end
  end
end
-- Not a live job among those looked at: there may be one behind them.
if not blocked and #heads == window then soonest(1) end

if #jobs > 0 then
  for _, gate in ipairs(here.gates) do
    if gate.has.open_until then
      put(gate, 'probe', jobs[1][3])
      put(gate, 'probe_job', jobs[1][1])
    end
  end
  learn_pace(here, jobs)
end
write_leases()
if limit > 0 then put(tier_gate, 'free_at', wait > 0 and math.ceil(now_ms + wait) or nil) end
if blocked or limit == 0 then
  spill_late(ask.limit > 0 and wait or first_here(tier_gate, account_gate))
  write_leases()
  if limit > 0 then spill_early(wait) end
  write_leases()
end
if blocked then
  local next_late = redis.call('ZRANGE', spill, 0, 0, 'WITHSCORES')
  if next_late[2] then soonest(tonumber(next_late[2]) - now_ms) end
end
write_levels()
write_logs()
write_gates()
return {now_text, wait_ms, jobs, handed}
