-- Chapter of claim and settle: what a gate's limits let through at this moment.
--
-- A limit of so many a minute is one of four things, and until the vendor has shown which, it is the strictest:
--   set               from the configuration: a bucket that holds `burst` of it, and never more than the limit in any
--                     minute, so that a vendor that counts the last 60 s is not overrun
--   refusals          learnt from 429s without headers: a bucket that holds `burst` of it
--   vendor, bucket    the headers tell what is left, and it refills all the time; the level is the vendor's own
--   vendor, window    the headers tell what is left, and what was used comes back a minute later, or at the reset
local SLOT_MS, MINUTE_MS = 500, 61000 -- a second more: a call reaches the vendor after it was claimed
local SOONER_MS = 2000
local FIRST_WIDTH = 16 -- calls at once while nothing is known of a tier's limits
local LIMITS = {'rpm', 'tpm', 'itpm', 'otpm'}
local COLUMN = {rpm = 'requests', itpm = 'input', otpm = 'output'}
local this_slot = math.floor(now_ms / SLOT_MS)

-- The limit in force and where it is from; 0 is not limited.
local function limit_of(gate, name)
  local set, learnt, from = gate.conf[name] or 0, number_in(gate, name .. ':limit'), gate.has[name .. ':from']
  if not learnt then return set, 'set' end
  if from == 'vendor' and not (gate.conf.learn == 'down' and set > 0 and set <= learnt) then return learnt, from end
  if set > 0 and (from == 'vendor' or set <= learnt) then return set, 'set' end
  return learnt, from
end

local function slot_key(gate) return K.window .. gate.scope end

local function parse_slot(text)
  local requests, input, output = (text or ''):match('^([^|]*)|([^|]*)|(.*)$')
  return tonumber(requests) or 0, tonumber(input) or 0, tonumber(output) or 0
end

-- Add to the log of the last minute; less than nothing takes back what was not used.
local function note(gate, slot, requests, input, output)
  local from = number_in(gate, 'w:from')
  if from and slot < from then return end
  if not from then put(gate, 'w:from', slot) end
  if slot > (number_in(gate, 'w:last') or -1) then put(gate, 'w:last', slot) end
  local entry = gate.log[slot] or {0, 0, 0}
  gate.log[slot] = {entry[1] + requests, entry[2] + input, entry[3] + output}
  put(gate, 'w:requests', (number_in(gate, 'w:requests') or 0) + requests)
  put(gate, 'w:input', (number_in(gate, 'w:input') or 0) + input)
  put(gate, 'w:output', (number_in(gate, 'w:output') or 0) + output)
end

local function write_logs()
  for _, gate in pairs(gates) do
    for slot, entry in pairs(gate.log) do
      local requests, input, output = parse_slot(redis.call('HGET', slot_key(gate), slot))
      redis.call('HSET', slot_key(gate), slot,
        string.format('%.0f|%.0f|%.0f', requests + entry[1], input + entry[2], output + entry[3]))
    end
    if next(gate.log) then redis.call('PEXPIRE', slot_key(gate), 2 * MINUTE_MS) end
  end
end

-- What has left the last minute leaves the log.
local function forget(gate)
  local from, last = number_in(gate, 'w:from'), number_in(gate, 'w:last')
  local gone = math.floor((now_ms - MINUTE_MS) / SLOT_MS) - 1
  gate.left = {}
  if not from or from > gone then return end
  local names, sums = {}, {0, 0, 0}
  for slot = from, math.min(gone, last) do names[#names + 1] = string.format('%.0f', slot) end
  for i, text in ipairs(redis.call('HMGET', slot_key(gate), unpack(names))) do
    local entry = {parse_slot(text or nil)}
    gate.left[from + i - 1] = entry
    for column = 1, 3 do sums[column] = sums[column] + entry[column] end
  end
  redis.call('HDEL', slot_key(gate), unpack(names))
  local over = last <= gone
  put(gate, 'w:from', not over and gone + 1 or nil)
  put(gate, 'w:last', not over and last or nil)
  for column, name in ipairs({'w:requests', 'w:input', 'w:output'}) do
    put(gate, name, not over and (number_in(gate, name) or 0) - sums[column] or nil)
  end
end

local function used_in_window(gate, name)
  if name == 'tpm' then return (number_in(gate, 'w:input') or 0) + (number_in(gate, 'w:output') or 0) end
  return number_in(gate, 'w:' .. COLUMN[name]) or 0
end

local function need_of(name, tokens_in, tokens_out)
  if name == 'rpm' then return 1 end
  if name == 'tpm' then return tokens_in + tokens_out end
  if name == 'itpm' then return tokens_in end
  return tokens_out
end

-- What of a slot of the log counts against a limit.
local function amount_of(name, used) return name == 'rpm' and used[1] or need_of(name, used[2], used[3]) end

-- The log as {slot, amount} of one limit, oldest first; `after` leaves out older slots.
local function logged(gate, name, after)
  local from, last = number_in(gate, 'w:from'), number_in(gate, 'w:last')
  if not from then return {} end
  if not gate.slots then
    local names = {}
    for slot = from, last do names[#names + 1] = string.format('%.0f', slot) end
    gate.slots = redis.call('HMGET', slot_key(gate), unpack(names))
  end
  local found = {}
  for i, text in ipairs(gate.slots) do
    local slot = from + i - 1
    local amount = amount_of(name, {parse_slot(text or nil)})
    if slot > after and amount > 0 then found[#found + 1] = {slot, amount} end
  end
  return found
end

local function leaves_at(slot) return (slot + 1) * SLOT_MS + MINUTE_MS end

-- Milliseconds until so much has left the log of the last minute.
local function leaves_in(gate, name, amount, after)
  for _, entry in ipairs(logged(gate, name, after)) do
    amount = amount - entry[2]
    if amount <= 0.000001 then return math.max(1, leaves_at(entry[1]) - now_ms) end
  end
  return leaves_at(this_slot) - now_ms
end

-- When the vendor says a window is whole again; nil if our own log of the last minute lets go at about that moment too,
-- or if it is not said. A window that begins anew each minute comes sooner than the log.
local function reset_of(gate, name)
  local reset = number_in(gate, name .. ':reset')
  local oldest = reset and leaves_in(gate, name, 0, number_in(gate, name .. ':counted') or 0)
  return reset and now_ms + oldest > reset + SOONER_MS and reset or nil
end

-- A gate's limits with their levels brought to this moment, once a script.
local function limits_of(gate)
  if gate.limits then return gate.limits end
  local elapsed_ms = math.max(0, now_us - (number_in(gate, 'at') or now_us)) / 1000
  forget(gate)
  gate.limits = {}
  for _, name in ipairs(LIMITS) do
    local limit, from = limit_of(gate, name)
    if limit > 0 then
      local entry = {name = name, gate = gate, limit = limit, from = from, rate = limit / 60000, capacity = limit}
      entry.window = from == 'vendor' and gate.has[name .. ':mode'] ~= 'bucket'
      if from ~= 'vendor' then entry.capacity = limit / 60 * (gate.conf.burst_s or 1) end
      if name == 'rpm' and entry.capacity < 1 then entry.capacity = 1 end
      local level = number_in(gate, name) or entry.capacity
      if entry.window then
        local back = 0
        for slot, used in pairs(gate.left) do
          if slot > (number_in(gate, name .. ':counted') or 0) then back = back + amount_of(name, used) end
        end
        level = level + back
        local said = number_in(gate, name .. ':said')
        if said and back > 0 then put(gate, name .. ':said', math.min(limit, said + back)) end
        local reset = reset_of(gate, name)
        if reset and reset <= now_ms then
          -- The vendor's time is up: one call, or a second's tokens, go out and see.
          level = math.max(level, name == 'rpm' and 1 or limit / 60)
          put(gate, name .. ':reset', nil)
        end
      else
        level = level + entry.rate * elapsed_ms
      end
      entry.level = math.min(entry.capacity, level)
      gate.limits[#gate.limits + 1] = entry
    end
  end
  return gate.limits
end

local function write_levels()
  for _, gate in pairs(gates) do
    if gate.limits then
      for _, entry in ipairs(gate.limits) do put(gate, entry.name, entry.level) end
      put(gate, 'at', now_text)
    end
  end
end

-- Milliseconds until a limit lets a call through; 0 is now. One larger than the bucket goes when it is full.
local function wait_for(entry, need)
  local missing, ms = math.min(need, entry.capacity) - entry.level, 0
  if missing > 0.000001 then
    if not entry.window then
      ms = missing / entry.rate
    else
      ms = leaves_in(entry.gate, entry.name, missing, number_in(entry.gate, entry.name .. ':counted') or 0)
      local reset = reset_of(entry.gate, entry.name)
      if reset then ms = math.max(1, math.min(ms, reset - now_ms)) end
    end
  end
  if entry.from == 'set' then
    local over = used_in_window(entry.gate, entry.name) + math.min(need, entry.limit) - entry.limit
    if over > 0.000001 then ms = math.max(ms, leaves_in(entry.gate, entry.name, over, 0)) end
  end
  return ms
end

-- How much leaves the log of the last minute in so many milliseconds.
local function left_by(gate, name, ms, after)
  local left = 0
  for _, entry in ipairs(logged(gate, name, after)) do
    if leaves_at(entry[1]) - now_ms <= ms then left = left + entry[2] end
  end
  return left
end

-- What others may still take of a limit while a call of that need can start in so many milliseconds all the same.
local function spare(entry, need, ms)
  local counted = number_in(entry.gate, entry.name .. ':counted') or 0
  local gained = entry.window and left_by(entry.gate, entry.name, ms, counted) or entry.rate * ms
  local over = math.min(entry.capacity, entry.level + gained) - math.min(need, entry.capacity)
  if entry.from == 'set' then
    local used = used_in_window(entry.gate, entry.name) - left_by(entry.gate, entry.name, ms, 0)
    over = math.min(over, entry.limit - used - math.min(need, entry.limit))
  end
  return over
end

-- The vendor's day begins at its own midnight.
local function today_of(gate) return math.floor((now_us / 1000000 + (gate.conf.zone_s or 0)) / 86400) end

local function midnight_in(gate) return ((today_of(gate) + 1) * 86400 - (gate.conf.zone_s or 0)) * 1000 - now_us / 1000 end

local function day_left(gate)
  local limit = limit_of(gate, 'rpd')
  if limit == 0 then return math.huge end
  return limit - (number_in(gate, 'day') == today_of(gate) and number_in(gate, 'day_used') or 0)
end

local function use_day(gate, requests)
  if limit_of(gate, 'rpd') == 0 then return end
  local used = number_in(gate, 'day') == today_of(gate) and number_in(gate, 'day_used') or 0
  put(gate, 'day', today_of(gate))
  put(gate, 'day_used', math.max(0, used + requests))
end

-- Calls in flight, and the tokens they have reserved.
local function fly(gate, calls, tokens_in, tokens_out)
  put(gate, 'fly', math.max(0, (number_in(gate, 'fly') or 0) + calls))
  put(gate, 'fly_in', math.max(0, (number_in(gate, 'fly_in') or 0) + tokens_in))
  put(gate, 'fly_out', math.max(0, (number_in(gate, 'fly_out') or 0) + tokens_out))
end

-- A call has ended and its answer says nothing of these limits: the vendor may have counted it since it last said.
local function unheard(gate, heard, tokens_in, tokens_out)
  for _, name in ipairs(LIMITS) do
    local said = number_in(gate, name .. ':said')
    if said and not heard[name] then put(gate, name .. ':said', said - need_of(name, tokens_in, tokens_out)) end
  end
end

-- Take a call's share out of a gate; less than nothing gives it back.
local function take(gate, slot, requests, tokens_in, tokens_out)
  for _, entry in ipairs(limits_of(gate)) do
    entry.level = entry.level - (entry.name == 'rpm' and requests or need_of(entry.name, tokens_in, tokens_out))
  end
  note(gate, slot, requests, tokens_in, tokens_out)
end
