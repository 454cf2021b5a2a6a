-- Chapter of settle: the breaker of a tier, for all workers. It opens when too many of the calls of late have failed.
--
--   health      calls of the last while, by slots: "slot:good:bad,slot:good:bad"; a sixth of the window is a slot, and
--               named by the moment it begins, ms, which means the same to workers with another window
--   open_until  until when no call passes, ms; after that one call probes
--   opens       times it has opened in a row
--   probe       fence of the call that probes, or of the one that closed it: calls from before it say nothing
--   probe_job   its job, while it probes
local BREAKER = {window_ms = 60000, least = 10, rate = 0.5, open_ms = 10000}
local OPEN_MOST_MS, SLOTS = 300000, 6

local function open_breaker(gate, conf, opens)
  local most = math.max(OPEN_MOST_MS, conf.open_ms)
  put(gate, 'open_until', ms_text(now_ms + math.min(most, conf.open_ms * 2 ^ (opens - 1))))
  put(gate, 'opens', opens)
  for _, name in ipairs({'health', 'probe', 'probe_job'}) do put(gate, name, nil) end
end

local function close_breaker(gate)
  for _, name in ipairs({'open_until', 'opens', 'probe_job', 'health'}) do put(gate, name, nil) end
end

-- A probe has come back: a good one closes the breaker, a failed one doubles the time, another says nothing.
local function judge_probe(gate, conf, verdict)
  if verdict == 'good' then
    close_breaker(gate)
  elseif verdict == 'bad' then
    open_breaker(gate, conf, (number_in(gate, 'opens') or 0) + 1)
  else
    put(gate, 'probe', nil)
    put(gate, 'probe_job', nil)
  end
end

-- Count calls into the slots of the window; returns how many are in it, and how many of these failed.
local function count_health(gate, conf, good, bad)
  local width = math.max(1, conf.window_ms / SLOTS)
  local now_slot = math.floor(math.floor(now_ms / width) * width)
  local kept, calls, failed, found = {}, good + bad, bad, false
  for slot, was_good, was_bad in (gate.has.health or ''):gmatch('(%d+):(%d+):(%d+)') do
    local began = tonumber(slot)
    -- What lies ahead is from before the clock was set back.
    if began > now_slot - conf.window_ms and began <= now_ms then
      calls, failed = calls + was_good + was_bad, failed + was_bad
      if began == now_slot then was_good, was_bad, found = was_good + good, was_bad + bad, true end
      kept[#kept + 1] = string.format('%s:%.0f:%.0f', slot, was_good, was_bad)
    end
  end
  if not found then kept[#kept + 1] = string.format('%.0f:%.0f:%.0f', now_slot, good, bad) end
  put(gate, 'health', table.concat(kept, ','))
  return calls, failed
end

-- What calls say of a tier, in the order they ended: {says, fence}, says is good, bad or none. Calls that were under way
-- when it opened say nothing, then and later. Returns whether it opened or a probe came back: then workers are woken.
local function tell_breaker(gate, verdicts)
  local conf = gate.conf.breaker or BREAKER
  if gate.has.open_until then
    for _, verdict in ipairs(verdicts) do
      if verdict.fence == gate.has.probe then
        judge_probe(gate, conf, verdict.says)
        return true
      end
    end
    return false
  end
  local good, bad, since = 0, 0, number_in(gate, 'probe') or 0
  for _, verdict in ipairs(verdicts) do
    if tonumber(verdict.fence) > since then
      if verdict.says == 'good' then good = good + 1 elseif verdict.says == 'bad' then bad = bad + 1 end
    end
  end
  if good + bad == 0 then return false end
  if good > 0 then put(gate, 'streak', nil) end
  local calls, failed = count_health(gate, conf, good, bad)
  if bad == 0 or calls < conf.least or failed < conf.rate * calls then return false end
  open_breaker(gate, conf, 1)
  return true
end
