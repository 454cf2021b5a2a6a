-- Chapter of claim and settle: the server's time, and gates: what is known of a tier or of a provider's account.
--
-- A gate is one hash. It is read once, changed here, and what changed is written once, at the end.
--   conf                     limits as the configuration sets them, JSON; written by whoever claims
--   at                       moment of the levels, us
--   rpm tpm itpm otpm        levels of the buckets
--   <limit>:limit :from      a limit the vendor's headers told (vendor), or its refusals taught (refusals)
--   <limit>:mode             bucket: it refills all the time; window: what was used leaves it a minute later
--   <limit>:counted          of a window: newest slot of the log that the vendor has let go of already
--   <limit>:doubt            until when it is taken for a window whatever answers say, ms
--   <limit>:said :said_at    what the vendor last said is left, and when, us
--   <limit>:reset            when the vendor says a window is whole again, ms
--   <limit>:top :cut :grown  of refusals: what was too much; when it was cut, us; when it last grew, ms
--   w:from w:last w:requests w:input w:output   the log of the last minute: its slots, and their sums
--   fly fly_in fly_out       calls in flight, and the tokens they have reserved
--   width                    calls at once while no limit is known
--   day day_used             requests of the vendor's day
--   mean_in mean_out         sizes of jobs
--   latency fastest          ms of a call, and of the fastest
--   gap answered since ended ms between two answers of late, by that count, begun and last added to when, ms
--   pace free_at head head_at scan              ms a job; when the next can go; who waits first, until when; spilling
--   factor out:<class>       tokens counted for each estimated one; length of an answer most stay below
--   disabled disabled_by abort                  the switch: why, by whom, whether calls in flight are cut
--   closed_until closed_reason                  the dispatcher's own closing; -1 waits for the operator
--   throttled_until throttles streak            the vendor's wait; refusals so far, and in a row
--   health open_until opens probe probe_job     breaker: chapters/breaker.lua
--   served_until                                a worker of the tier lives, as far as is known
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now_text = string.format('%d%06d', time[1], time[2])
local now_ms = math.floor(now_us / 1000)

local function ms_text(ms) return string.format('%.0f', ms) end

local gates = {}

-- The gate of a tier or provider; `conf`, if given, is what the configuration says of it now.
local function gate_of(scope, conf)
  local gate = gates[scope]
  if not gate then
    local flat = redis.call('HGETALL', K.gate .. scope)
    gate = {scope = scope, has = {}, set = {}, gone = {}, log = {}}
    for i = 1, #flat, 2 do gate.has[flat[i]] = flat[i + 1] end
    gates[scope] = gate
  end
  if conf and gate.has.conf ~= conf then
    gate.has.conf, gate.set.conf = conf, conf
    gate.conf = nil
  end
  if not gate.conf then gate.conf = gate.has.conf and cjson.decode(gate.has.conf) or {} end
  return gate
end

local function number_in(gate, name) return tonumber(gate.has[name]) end

-- Nil takes the field away.
local function put(gate, name, value)
  if value == nil then
    if gate.has[name] then gate.gone[#gate.gone + 1] = name end
    gate.has[name], gate.set[name] = nil, nil
    return
  end
  gate.has[name], gate.set[name] = value, value
end

-- Numbers are written with six digits behind the point, text as it is.
local function write_gates()
  for scope, gate in pairs(gates) do
    if #gate.gone > 0 then redis.call('HDEL', K.gate .. scope, unpack(gate.gone)) end
    local fields = {}
    for name, value in pairs(gate.set) do
      if type(value) == 'number' then value = string.format(value % 1 == 0 and '%.0f' or '%.6f', value) end
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
    if #fields > 0 then redis.call('HSET', K.gate .. scope, unpack(fields)) end
  end
end
