-- Chapter of claim: which jobs fit now, by the limits of a tier and of its account; and where others wait how long.
--
-- A place is a tier under its account: both gates, their limits as `buckets`, and what the moment allows.
local QUANTILE_AFTER = 10

local function place_of(tier, conf, provider, account_conf, account_tiers)
  return {tier = tier, gates = {gate_of(tier, conf), gate_of(provider, account_conf)}, account_tiers = account_tiers}
end

-- Characters / 4, corrected by what the vendor counted; and what most answers of the class stay below, where the vendor
-- counts what is used. Until enough is known, and where it counts max_tokens, that.
local function estimate(place, class, characters, max_tokens)
  local gate, out = place.gates[1], tonumber(max_tokens) or 0
  if gate.conf.counts ~= 'max_tokens' then
    local answers, length = (gate.has['out:' .. class] or ''):match('^(%d+)|(.*)$')
    if answers and tonumber(answers) >= QUANTILE_AFTER then out = math.min(out, math.ceil(tonumber(length))) end
  end
  return math.ceil((tonumber(characters) or 0) / 4 * (number_in(gate, 'factor') or 1)), out
end

local function slots_left(place)
  local busy, left = redis.call('ZCARD', K.leases .. place.tier), math.huge
  local own, shared = place.gates[1].conf.concurrency or 0, place.gates[2].conf.concurrency or 0
  -- Nothing can be in flight where nothing is leased, whatever was left by a worker of another version.
  if busy == 0 and (number_in(place.gates[1], 'fly') or 0) > 0 then
    fly(place.gates[1], -math.huge, -math.huge, -math.huge)
  end
  if own > 0 then left = own - busy end
  if shared > 0 then
    local all = 0
    for _, name in ipairs(place.account_tiers) do all = all + redis.call('ZCARD', K.leases .. name) end
    left = math.min(left, shared - all)
  end
  -- Nothing is known yet: a few calls, one more with every answer, until something is.
  if #place.buckets == 0 and own + shared == 0 then
    left = (number_in(place.gates[1], 'width') or FIRST_WIDTH) - math.min(busy, number_in(place.gates[1], 'fly') or 0)
  end
  return left
end

-- What the moment allows.
local function measure(place)
  place.buckets, place.throttled, place.today = {}, 0, math.huge
  for _, gate in ipairs(place.gates) do
    for _, entry in ipairs(limits_of(gate)) do place.buckets[#place.buckets + 1] = entry end
    place.throttled = math.max(place.throttled, number_in(gate, 'throttled_until') or 0)
    place.today = math.min(place.today, day_left(gate))
  end
  place.free = slots_left(place)
end

-- Milliseconds until a call of that size can go; 0 is now.
local function delay(place, tokens_in, tokens_out)
  local ms = math.max(0, place.throttled - now_ms)
  if place.today < 1 then
    for _, gate in ipairs(place.gates) do
      if day_left(gate) < 1 then ms = math.max(ms, midnight_in(gate)) end
    end
  end
  if place.free < 1 then ms = math.max(ms, 1000) end
  for _, entry in ipairs(place.buckets) do
    ms = math.max(ms, wait_for(entry, need_of(entry.name, tokens_in, tokens_out)))
  end
  return ms
end

-- Charge a call to both gates.
local function admit(place, tokens_in, tokens_out)
  for _, gate in ipairs(place.gates) do
    take(gate, this_slot, 1, tokens_in, tokens_out)
    fly(gate, 1, tokens_in, tokens_out)
    use_day(gate, 1)
  end
  place.today, place.free = place.today - 1, place.free - 1
end

-- A job that must wait though it is first keeps its moment: others pass it with what is to spare until then, and if the
-- bucket fills sooner than was promised, with that. Returns what is to spare of each limit; nil when nothing may pass.
local function wait_first(place, id, tokens_in, tokens_out, ms)
  if place.free < 1 or place.today < 1 or place.throttled > now_ms then return nil end
  local gate = place.gates[1]
  if gate.has.head == id then
    ms = math.max(ms, (number_in(gate, 'head_at') or 0) - now_ms)
  else
    put(gate, 'head', id)
    put(gate, 'head_at', math.ceil(now_ms + ms))
  end
  local spares = {}
  for i, entry in ipairs(place.buckets) do
    spares[i] = spare(entry, need_of(entry.name, tokens_in, tokens_out), ms)
    if spares[i] < 1 then return nil end
  end
  return spares
end

local function passes(place, spares, tokens_in, tokens_out)
  for i, entry in ipairs(place.buckets) do
    if need_of(entry.name, tokens_in, tokens_out) > spares[i] then return false end
  end
  for i, entry in ipairs(place.buckets) do spares[i] = spares[i] - need_of(entry.name, tokens_in, tokens_out) end
  return true
end

-- What the jobs claimed here are like, and how many milliseconds one takes at the rate of the limits: `pace`. Tiers with
-- jobs waiting share their account evenly.
local function learn_pace(place, jobs)
  local gate = place.gates[1]
  for name, column in pairs({mean_in = 13, mean_out = 14}) do
    local mean = number_in(gate, name) or jobs[1][column]
    for _, job in ipairs(jobs) do mean = mean + (job[column] - mean) * 0.05 end
    put(gate, name, mean)
  end
  local pace, own = 0, gate.conf.concurrency or 0
  for _, entry in ipairs(place.buckets) do
    local each = need_of(entry.name, number_in(gate, 'mean_in'), number_in(gate, 'mean_out')) / entry.rate
    if entry.gate ~= gate then
      local sharing = 0
      for _, name in ipairs(place.account_tiers) do
        if name == place.tier or redis.call('ZCARD', K.queue .. name) > 0 then sharing = sharing + 1 end
      end
      each = each * sharing
    end
    pace = math.max(pace, each)
  end
  if own > 0 then pace = math.max(pace, (number_in(gate, 'latency') or 0) / own) end
  put(gate, 'pace', pace)
end

local elsewhere = {}

local function takes_jobs(gate)
  local till, open_until = number_in(gate, 'closed_until'), number_in(gate, 'open_until')
  if gate.has.disabled or till and (till < 0 or till > now_ms) then return false end
  return not (open_until and open_until > now_ms)
end

local function is_served(gate) return (number_in(gate, 'served_until') or 0) > now_ms end

-- Milliseconds until the first job waiting at a tier can go, as far as is known; without end where no worker lives.
local function first_here(gate, account)
  if not is_served(gate) then return math.huge end
  local till = math.max(number_in(gate, 'throttled_until') or 0, number_in(account, 'throttled_until') or 0,
    number_in(gate, 'free_at') or 0)
  return math.max(0, till - now_ms)
end

-- Milliseconds a job queued at a tier now would wait; nil where none may be queued or nobody would take it.
local function wait_at(name)
  if elsewhere[name] == nil then
    local gate, account = gate_of(name), gate_of(name:match('^[^/]*'))
    elsewhere[name] = false
    if is_served(gate) and takes_jobs(gate) and takes_jobs(account) then
      elsewhere[name] = {
        first = first_here(gate, account),
        queued = redis.call('ZCARD', K.queue .. name),
        pace = number_in(gate, 'pace') or 0,
      }
    end
  end
  local found = elsewhere[name]
  return found and found.first + found.queued * found.pace or nil
end

-- The first of these tiers where a job waits less than here; it is counted there. `barred` are those it may not go to.
local function better(names, barred, here_ms)
  for _, name in ipairs(names) do
    local ms = not (',' .. barred .. ','):find(',' .. name .. ',', 1, true) and wait_at(name)
    if ms and ms < here_ms then
      elsewhere[name].queued = elsewhere[name].queued + 1
      return name
    end
  end
end
