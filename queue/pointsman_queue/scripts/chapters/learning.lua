-- Chapter of settle: what answers and refusals teach of limits, for all workers at once.
--
-- Headers: the newest answer decides; the level becomes what the vendor says is left, less what is in flight, since
-- nobody knows whether the vendor had counted that. Without headers: a refusal takes the limit back to 0.7 of what it
-- was, once for all calls that were under way; then it grows by 2 % of that a second up to 95 % of what was too much,
-- and by 0.2 % a second beyond (additive increase, multiplicative decrease: Chiu and Jain, 1989).
local CUT, NEAR, FAST, SLOW = 0.7, 0.95, 0.02, 0.002
local BELIEVED_MS, DOUBT_MS = 600000, 1500 -- moments in headers are whole seconds

-- A limit's entry among those of its gate, made when it was not known before.
local function entry_of(gate, name)
  for _, entry in ipairs(limits_of(gate)) do
    if entry.name == name then return entry end
  end
  local entry = {name = name, gate = gate, level = math.huge}
  gate.limits[#gate.limits + 1] = entry
  return entry
end

local function in_flight(gate, name)
  local calls = 0
  for _, tier in ipairs(gate.conf.tiers or {gate.scope}) do calls = calls + redis.call('ZCARD', K.leases .. tier) end
  if calls == 0 then return 0 end
  if name == 'rpm' or name == 'rpd' then return math.min(calls, number_in(gate, 'fly') or 0) end
  return need_of(name, number_in(gate, 'fly_in') or 0, number_in(gate, 'fly_out') or 0)
end

-- Whether the vendor refills all the time: then it is whole again after what is missing has come back at its rate. One
-- answer that says otherwise is believed for ten minutes: with a window that was used up at once, others agree by chance.
local function refills(gate, item, limit)
  if not item.reset_ms then return gate.has[item.name .. ':mode'] == 'bucket' end
  local due = 60000 * (limit - item.left) / limit
  if math.abs(item.reset_ms - due) > DOUBT_MS + due * 0.05 then
    put(gate, item.name .. ':doubt', now_ms + BELIEVED_MS)
    return false
  end
  return now_ms >= (number_in(gate, item.name .. ':doubt') or 0)
end

local function learn_day(gate, item)
  if item.limit then
    put(gate, 'rpd:limit', item.limit)
    put(gate, 'rpd:from', 'vendor')
  end
  local limit = limit_of(gate, 'rpd')
  if limit == 0 or not item.left then return end
  put(gate, 'day', today_of(gate))
  put(gate, 'day_used', math.max(0, limit - item.left + in_flight(gate, 'rpd')))
end

-- What the vendor said last is left. Answers come in any order, so one that says more is only believed if its call began
-- after the one that said less was answered; what has come back meanwhile is added.
local function last_said(gate, item, limit, bucket)
  local said, at = number_in(gate, item.name .. ':said'), number_in(gate, item.name .. ':said_at')
  if said and bucket then said = math.min(limit, said + limit / 60000 * math.max(0, now_us - at) / 1000) end
  if said and item.left > said and item.started <= at then return said end
  put(gate, item.name .. ':said', item.left)
  put(gate, item.name .. ':said_at', now_text)
  return item.left
end

local function learn_minute(gate, item)
  local name = item.name
  local limit = item.limit or limit_of(gate, name)
  if limit <= 0 then return false end
  put(gate, name .. ':limit', limit)
  put(gate, name .. ':from', 'vendor')
  if not item.left then return false end
  local bucket = refills(gate, item, limit)
  put(gate, name .. ':mode', bucket and 'bucket' or 'window')
  -- What the vendor had let go of by then is in what it says is left.
  put(gate, name .. ':counted', not bucket and math.floor((now_ms - 60000) / SLOT_MS) or nil)
  put(gate, name .. ':reset', not bucket and item.reset_ms and math.ceil(now_ms + item.reset_ms + SLOT_MS) or nil)
  local entry, from = entry_of(gate, name), nil
  local before = entry.level
  local left = last_said(gate, item, limit, bucket) - in_flight(gate, name)
  limit, from = limit_of(gate, name)
  -- It has refilled since the call reached the vendor. When that was nobody knows, but it was answered for as long as
  -- the fastest answer took, at least.
  if bucket then left = left + limit / 60000 * (number_in(gate, 'fastest') or 0) end
  if from ~= 'vendor' then
    entry.level = math.min(entry.level, left) -- the configuration allows less, and that is what holds
    return false
  end
  entry.limit, entry.from, entry.rate, entry.capacity, entry.window = limit, from, limit / 60000, limit, not bucket
  entry.level = math.min(limit, left)
  return before < 1 and entry.level >= 1
end

-- Hear what an answer says is left.
local function hear(gate, item, started)
  gate.news = gate.news or {}
  item.started = started
  gate.news[#gate.news + 1] = item
end

-- Learn what was heard. Returns the gates that have something to give which they had not before.
local function learn()
  local opened = {}
  for _, gate in pairs(gates) do
    for _, item in ipairs(gate.news or {}) do
      if item.name == 'rpd' then
        learn_day(gate, item)
      elseif learn_minute(gate, item) then
        opened[#opened + 1] = gate
      end
    end
  end
  return opened
end

-- Which limits a refusal speaks of: those it names, or else the requests, unless only tokens are limited.
local function refused_limits(gate, word)
  local tokens = {}
  for _, name in ipairs({'tpm', 'itpm', 'otpm'}) do
    if limit_of(gate, name) > 0 then tokens[#tokens + 1] = name end
  end
  if word == 'requests' or (word ~= 'tokens' and (limit_of(gate, 'rpm') > 0 or #tokens == 0)) then return {'rpm'} end
  return #tokens > 0 and tokens or {'tpm'}
end

-- A refusal without headers: what the limit was is too much. Where none was known, the last minute's use is a guess.
local function cut(gate, word, started, wait_ms)
  for _, name in ipairs(refused_limits(gate, word)) do
    local limit, from = limit_of(gate, name)
    if from ~= 'vendor' and started > (number_in(gate, name .. ':cut') or 0) then
      limits_of(gate) -- forgets what is older than a minute
      if limit == 0 then
        local since = (number_in(gate, 'w:from') or this_slot) * SLOT_MS
        limit = used_in_window(gate, name) * 60000 / math.max(1000, math.min(60000, now_ms - since))
      end
      local lower = math.max(1, limit * CUT)
      put(gate, name .. ':limit', lower)
      put(gate, name .. ':from', 'refusals')
      put(gate, name .. ':top', limit)
      put(gate, name .. ':cut', now_text)
      put(gate, name .. ':grown', now_ms)
      put(gate, 'width', nil)
      local entry = entry_of(gate, name)
      entry.limit, entry.from, entry.rate, entry.window = lower, 'refusals', lower / 60000, false
      entry.capacity = math.max(name == 'rpm' and 1 or 0, lower / 60 * (gate.conf.burst_s or 1))
      -- Nothing gathers while the vendor's wait lasts, or all workers would set out together after it.
      entry.level = math.min(entry.level, 0) - entry.rate * math.min(wait_ms, 60000)
    end
  end
end

-- An answer: limits that were cut grow again, while they are made use of.
local function grow(gate)
  for _, name in ipairs(LIMITS) do
    if gate.has[name .. ':from'] == 'refusals' then
      local limit, top = number_in(gate, name .. ':limit'), number_in(gate, name .. ':top')
      local seconds = math.max(0, math.min(1000, now_ms - (number_in(gate, name .. ':grown') or now_ms))) / 1000
      local larger = limit + top * seconds * (limit < NEAR * top and FAST or SLOW)
      limits_of(gate)
      larger = math.max(limit, math.min(larger, 2 * used_in_window(gate, name) + 10))
      put(gate, name .. ':grown', now_ms)
      local set = gate.conf[name] or 0
      if set > 0 and larger >= set then
        for _, part in ipairs({':limit', ':from', ':top', ':cut', ':grown'}) do put(gate, name .. part, nil) end
      else
        put(gate, name .. ':limit', larger)
      end
    end
  end
end

-- How long calls take: smoothed over about twenty; and the fastest, which slowly forgets.
local function learn_latency(gate, ms)
  local latency, fastest = number_in(gate, 'latency') or ms, number_in(gate, 'fastest') or ms
  put(gate, 'latency', latency + (ms - latency) * 0.05)
  put(gate, 'fastest', ms < fastest and ms or fastest + (ms - fastest) * 0.001)
end

-- Tokens an answer of a class stays below nine times in ten: the largest of the first ten, then a small step up or down
-- with each answer, in proportion (stochastic approximation of a quantile: Robbins and Monro, 1951).
local function learn_length(gate, class, tokens)
  local answers, length = (gate.has['out:' .. class] or '0|1'):match('^(%d+)|(.*)$')
  answers, length = tonumber(answers), tonumber(length)
  if answers < 10 then
    length = math.max(length, tokens)
  else
    length = math.max(1, math.min(10000000, length * math.exp(tokens > length and 0.135 or -0.015)))
  end
  put(gate, 'out:' .. class, string.format('%d|%.3f', math.min(10, answers + 1), length))
end
