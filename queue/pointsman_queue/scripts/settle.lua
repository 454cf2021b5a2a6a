-- End attempts: outcome recorded, buckets corrected, each job finished, moved, delayed, held or given back.
--
-- KEYS     none: names are built from K (keys.py)
-- ARGV[1]  how long results are kept, ms
-- ARGV[2]  per settlement, from here on: head, result line, then `records` record strings
--            head, JSON: id, fence, tier, provider, records
--              step       finish | move | delay | hold | release
--              state      of a finish; to of a move; wait_ms of a delay; tiers of a hold
--              set        fields of the job to write: failures, tries, path, barred, cost, skipped
--              called     whether a call was made; if not, the whole reservation is refunded
--              real_in, real_out  tokens used; absent keeps the estimate charged
--              healthy    true | false, what the breaker is told; absent says nothing
--              throttle_ms  closes the buckets for all; 0: the vendor named no time
--              refused    requests | tokens: which limit that was; absent if the vendor did not say
--              seen       what the vendor says is left: {scope, name, limit, left, reset_ms}, the last three if known
--              close      {reason, ms}; ms -1 waits for the operator
-- Returns  per settlement 'ok', or 'stale' when the lease was lost or the call called off: then nothing was written
local keep_ms = ARGV[1]
local SMOOTHING, OPEN_MS, OPEN_MOST_MS = 0.1, 10000, 300000

-- What the settlements of one call say of a tier or batch is added up and written once, at the end.
local answers, health, ended, woken = {}, {}, {}, {}

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

local function open_breaker(key, opens)
  local open_ms = math.min(OPEN_MOST_MS, OPEN_MS * 2 ^ (opens - 1))
  redis.call('HSET', key, 'open_until', ms_text(now_ms + open_ms), 'opens', opens)
  redis.call('HDEL', key, 'probe_until', 'probe', 'failing')
end

-- A probe has come back: a good one closes the breaker, a failed one doubles the time, another says nothing.
local function judge_probe(key, verdict, opens)
  if verdict == 'good' then
    redis.call('HDEL', key, 'open_until', 'opens', 'probe_until', 'probe', 'failing')
  elseif verdict == 'bad' then
    open_breaker(key, opens + 1)
  else
    redis.call('HDEL', key, 'probe_until', 'probe')
  end
end

-- `failing` is the smoothed share of failed calls: seven failures in a row, or half of about twenty, open the breaker.
-- Calls that were under way when it opened say nothing, then and later.
local function write_health()
  for tier, verdicts in pairs(health) do
    local key = K.gate .. tier
    local gate = redis.call('HMGET', key, 'failing', 'open_until', 'opens', 'streak', 'probe')
    if gate[2] then
      for _, verdict in ipairs(verdicts) do
        if verdict.fence == gate[5] then
          judge_probe(key, verdict.says, tonumber(gate[3]) or 0)
          wake(tier)
        end
      end
    else
      local before = tonumber(gate[1]) or 0
      local failing, good, open = before, false, false
      for _, verdict in ipairs(verdicts) do
        if verdict.says ~= 'none' then
          failing = failing + ((verdict.says == 'bad' and 1 or 0) - failing) * SMOOTHING
          good = good or verdict.says == 'good'
          open = open or failing >= 0.5
        end
      end
      if open then
        open_breaker(key, 1)
        wake(tier)
      elseif failing < 0.01 then
        if gate[1] then redis.call('HDEL', key, 'failing') end
      else
        redis.call('HSET', key, 'failing', string.format('%.4f', failing))
      end
      if good and gate[4] then redis.call('HDEL', key, 'streak') end
    end
  end
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

-- Milliseconds between two answers of late: ten seconds by a count in which older ones fade. After a pause it begins at
-- the pace of the limits.
local function learn_gap(tier, answered)
  local gate = gate_of(tier)
  local last, count = number_in(gate, 'ended') or 0, number_in(gate, 'answered')
  if not count or now_ms - last > 60000 then
    local pace = number_in(gate, 'pace') or 0
    count, last = pace > 0 and 10000 / pace or 0, now_ms
  end
  count = count * math.exp((last - now_ms) / 10000) + answered
  put(gate, 'answered', count)
  put(gate, 'gap', 10000 / count)
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
  if head.state == 'succeeded' then
    redis.call('DEL', K.envelope .. id)
  else
    redis.call('PEXPIRE', K.envelope .. id, keep_ms)
  end
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
    if head.called then done[head.tier] = (done[head.tier] or 0) + 1 end
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
write_levels()
write_logs()
write_gates()
write_factors()
write_health()
write_batches()
for tier in pairs(woken) do redis.call('PUBLISH', K.wake .. tier, '1') end
return replies
