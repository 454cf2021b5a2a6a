-- End attempts: outcome recorded, buckets corrected, each job finished, moved, delayed, held or given back.
--
-- KEYS     none: names are built from K (keys.py)
-- ARGV[1]  how long results are kept, and envelopes that nobody drops sooner, ms
-- ARGV[2]  per settlement, from here on: head, result line, then `records` record strings
--            head, JSON: id, fence, tier, provider, records
--              step       finish | move | delay | hold | release
--              state      of a finish; to of a move; wait_ms of a delay; tiers of a hold
--              set        fields of the job to write: failures, tries, path, barred, cost, skipped
--              called     whether a call was made; if not, the whole reservation is refunded
--              real_in, real_out  tokens used; absent keeps the estimate charged
--              outcome    of the call, for the rates; absent if there was none
--              healthy    true | false, what the breaker is told; absent says nothing
--              throttle_ms  closes the buckets for all; 0: the vendor named no time
--              refused    requests | tokens: which limit that was; absent if the vendor did not say
--              seen       what the vendor says is left: {scope, name, limit, left, reset_ms}, the last three if known
--              close      {reason, ms}; ms -1 waits for the operator
-- Returns  per settlement 'ok', or 'stale' when the lease was lost or the call called off: then nothing was written
local keep_ms = ARGV[1]
local RATES_KEPT_MS, RATES_SLOT_MS = 7200000, 600000

-- What the settlements of one call say of a tier or batch is added up and written once, at the end.
local answers, health, ended, woken, rates = {}, {}, {}, {}, {}

local function append(lists, key, value)
  if not lists[key] then lists[key] = {} end
  lists[key][#lists[key] + 1] = value
end

-- Unused tokens are free at once; overshoot is a debt. Where the vendor counts max_tokens, nothing of them comes back.
local function account(head, job)
  local est_in, est_out = tonumber(job[1]) or 0, tonumber(job[2]) or 0
  local started = tonumber(job[12]) or now_us
  local requests, unused_in, unused_out = 0, 0, 0
  if not head.called then
    requests, unused_in, unused_out = job[9] and 1 or 0, est_in, est_out
  elseif head.real_in then
    unused_in, unused_out = est_in - head.real_in, est_out - head.real_out
  end
  for _, scope in ipairs({head.tier, head.provider}) do
    local gate = gate_of(scope)
    if job[9] then fly(gate, -1, -est_in, -est_out) end
    if requests > 0 then use_day(gate, -requests) end
    if head.called then learn_latency(gate, (now_us - started) / 1000) end
    local back_out = head.called and gate.conf.counts == 'max_tokens' and math.min(0, unused_out) or unused_out
    if requests ~= 0 or unused_in ~= 0 or back_out ~= 0 then
      take(gate, math.floor(started / 1000 / SLOT_MS), -requests, -unused_in, -back_out)
    end
    local heard = {}
    for _, item in ipairs(head.seen or {}) do
      if item.scope == scope then
        hear(gate, item, started)
        heard[item.name] = true
      end
    end
    if head.called then unheard(gate, heard, est_in, est_out) end
  end
  if not head.called then return end
  local gate, base = gate_of(head.tier), (tonumber(job[3]) or 0) / 4
  if head.real_in and head.real_in > 0 then
    if base >= 1 then append(answers, head.tier, head.real_in / base) end
    learn_length(gate, job[13], head.real_out)
  end
  if head.healthy and not head.throttle_ms then
    for _, scope in ipairs({head.tier, head.provider}) do grow(gate_of(scope)) end
    if #limits_of(gate) == 0 then
      put(gate, 'width', math.min(4096, (number_in(gate, 'width') or FIRST_WIDTH) + 1))
    end
  end
end

-- The tier's tokens per estimated token, smoothed over about twenty answers.
local function write_factors()
  for tier, ratios in pairs(answers) do
    local key = K.gate .. tier
    local factor = tonumber(redis.call('HGET', key, 'factor')) or 1
    for _, ratio in ipairs(ratios) do factor = factor + (ratio - factor) * 0.05 end
    redis.call('HSET', key, 'factor', string.format('%.4f', math.max(0.1, math.min(10, factor))))
  end
end

local function wake(tier) woken[tier] = true end

local function write_health()
  for tier, verdicts in pairs(health) do
    if tell_breaker(gate_of(tier), verdicts) then wake(tier) end
  end
end

-- How the calls of a tier ended, by class, in slots of ten minutes.
local function write_rates()
  for tier, counts in pairs(rates) do
    local key = K.rates .. tier .. ':' .. string.format('%.0f', math.floor(now_ms / RATES_SLOT_MS))
    for name, count in pairs(counts) do redis.call('HINCRBY', key, name, count) end
    redis.call('PEXPIRE', key, RATES_KEPT_MS)
  end
end

local function count_outcome(tier, class, outcome)
  if not rates[tier] then rates[tier] = {} end
  local name = class .. '|' .. outcome
  rates[tier][name] = (rates[tier][name] or 0) + 1
end

local function write_batches()
  for batch, states in pairs(ended) do
    local key = K.batch .. batch
    local sums = {}
    for _, state in ipairs(states) do sums[state] = (sums[state] or 0) + 1 end
    for state, sum in pairs(sums) do redis.call('HINCRBY', key, state, sum) end
    local counts = redis.call('HMGET', key, 'total', 'succeeded', 'failed', 'expired', 'cancelled')
    local done = 0
    for i = 2, 5 do done = done + (tonumber(counts[i]) or 0) end
    if done >= (tonumber(counts[1]) or 0) then
      redis.call('PEXPIRE', key, keep_ms)
      redis.call('PEXPIRE', K.done .. batch, keep_ms)
    end
  end
end

-- The vendor refused for now. Where it names no time: 1 s, doubled with each refusal in a row, 60 s at most. Calls that
-- were under way when the first was refused are refused with it: one burst doubles once.
local function throttle(head, job)
  local gate = gate_of(head.tier)
  local ms, before = head.throttle_ms, number_in(gate, 'throttled_until') or 0
  if ms == 0 and before <= now_ms then
    local streak = (number_in(gate, 'streak') or 0) + 1
    put(gate, 'streak', streak)
    ms = math.min(60000, 1000 * 2 ^ math.min(streak - 1, 10))
  end
  put(gate, 'throttled_until', ms_text(math.max(before, now_ms + ms)))
  put(gate, 'throttles', (number_in(gate, 'throttles') or 0) + 1)
  cut(gate, head.refused, tonumber(job[12]) or now_us, ms)
end

-- Milliseconds between two answers of late, by a count in which older ones fade over ten seconds. It begins anew after a
-- pause of a minute; those that come at its beginning are not counted, since nobody knows how long they took.
local FADING_MS, LEAST_MS, PAUSE_MS = 10000, 1000, 60000
local function learn_gap(tier, answered)
  local gate = gate_of(tier)
  local last, since = number_in(gate, 'ended') or 0, number_in(gate, 'since')
  if not since or now_ms - last > PAUSE_MS then
    put(gate, 'since', now_ms)
    put(gate, 'answered', 0)
    put(gate, 'gap', nil)
  else
    local count = (number_in(gate, 'answered') or 0) * math.exp((last - now_ms) / FADING_MS) + answered
    put(gate, 'answered', count)
    if now_ms - since >= LEAST_MS then
      put(gate, 'gap', FADING_MS * (1 - math.exp((since - now_ms) / FADING_MS)) / count)
    end
  end
  put(gate, 'ended', now_ms)
end

-- Of two closings the longer one holds; the one for the operator is the longest.
local function close(scope, closing)
  local before = tonumber(redis.call('HGET', K.gate .. scope, 'closed_until')) or 0
  local till = closing.ms < 0 and -1 or now_ms + closing.ms
  if before < 0 or (till >= 0 and till < before) then return end
  redis.call('HSET', K.gate .. scope, 'closed_until', ms_text(till), 'closed_reason', closing.reason)
  wake(scope)
end

local function write_fields(id, head, ...)
  local fields = {...}
  for name, value in pairs(head.set) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  redis.call('HSET', K.job .. id, unpack(fields))
end

-- A job called off meanwhile goes to the front. It has waited for the tier since it came to it, calls included.
local function to_queue(head, tier, job, spill_at)
  redis.call('SADD', K.tiers, tier)
  write_fields(head.id, head, 'state', 'queued', 'tier', tier)
  redis.call('ZADD', K.queue .. tier, job[10] and 0 or job[6], head.id)
  if job[7] ~= '0' then
    spill_at = spill_at or ms_text(now_ms + tonumber(job[7]))
    redis.call('HSET', K.job .. head.id, 'spill_at', spill_at)
    redis.call('ZADD', K.spill .. tier, spill_at, head.id)
  end
  wake(tier)
end

local steps = {}

function steps.finish(head, job, result)
  local id = head.id
  write_fields(id, head, 'state', head.state)
  redis.call('SET', K.result .. id, result, 'PX', keep_ms)
  redis.call('PEXPIRE', K.job .. id, keep_ms)
  redis.call('PEXPIRE', K.envelope .. id, keep_ms)
  redis.call('XADD', K.done .. job[5], '*', 'id', id)
  append(ended, job[5], head.state)
end

function steps.move(head, job) to_queue(head, head.to, job) end

-- Handed over for having waited too long and given back: there is nowhere else, so it waits as long once more.
function steps.release(head, job) to_queue(head, head.tier, job, job[9] and job[11]) end

-- No longer than the deadline: the job ends then, not when it would have been due.
function steps.delay(head, job)
  write_fields(head.id, head, 'state', 'delayed')
  local due = job[10] and 0 or math.min(now_ms + head.wait_ms, math.ceil(tonumber(job[6])))
  redis.call('ZADD', K.delayed .. head.tier, ms_text(due), head.id)
  wake(head.tier)
end

function steps.hold(head, job)
  write_fields(head.id, head, 'state', 'held', 'waits', table.concat(head.tiers, ','))
  redis.call('ZADD', K.held, job[10] and 0 or job[6], head.id)
  for _, tier in ipairs(head.tiers) do
    redis.call('ZADD', K.held_for .. tier, job[6], head.id)
    wake(tier)
  end
end

local replies, done = {}, {}
local at = 2
while at <= #ARGV do
  local head, result = cjson.decode(ARGV[at]), ARGV[at + 1]
  local first_record = at + 2
  at = first_record + head.records
  local key = K.job .. head.id
  local job = redis.call('HMGET', key, 'est_in', 'est_out', 'chars', 'state', 'batch', 'deadline', 'spill', 'fence',
    'called', 'cancel', 'spill_at', 'started', 'class')
  -- The answer of a call that was called off is not delivered: the next claim closes it.
  if job[4] ~= 'leased' or job[8] ~= head.fence or (job[9] and job[10]) then
    replies[#replies + 1] = 'stale'
  else
    -- First a write that frees memory: Redis then lets the rest of the script pass at maxmemory too.
    redis.call('ZREM', K.leases .. head.tier, head.id)
    if head.step ~= 'finish' then redis.call('HDEL', key, 'called', 'worker', 'started', 'est_in', 'est_out') end
    account(head, job)
    local says = (not head.called or head.healthy == nil) and 'none' or head.healthy and 'good' or 'bad'
    append(health, head.tier, {says = says, fence = head.fence})
    if head.throttle_ms then throttle(head, job) end
    if head.called then
      done[head.tier] = (done[head.tier] or 0) + 1
      if head.outcome then count_outcome(head.tier, job[13] or '', head.outcome) end
    end
    if head.close then close(head.tier, head.close) end
    steps[head.step](head, job, result)
    for i = first_record, at - 1 do
      redis.call('XADD', K.outbox, '*', 'at', now_text, 'record', ARGV[i])
    end
    replies[#replies + 1] = 'ok'
  end
end
for tier, count in pairs(done) do learn_gap(tier, count) end
for _, gate in ipairs(learn()) do
  for _, tier in ipairs(gate.conf.tiers or {gate.scope}) do wake(tier) end
end
write_health()
write_levels()
write_logs()
write_gates()
write_factors()
write_rates()
write_batches()
for tier in pairs(woken) do redis.call('PUBLISH', K.wake .. tier, '1') end
return replies
