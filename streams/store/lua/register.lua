#!lua
-- Codes of names in a funnel_id's registers. KEYS: register hash. ARGV[1]: msgpack {{register, cap, name, written}, ...}
-- as texts. Field `<register>:<name>` holds a code, field `<register>` the number of names held, field
-- `<register>=<code>` how a name was first written, where that is not the name itself. Code 1: the register is full.
local call, key = redis.call, KEYS[1]
local codes = {}
for i, wanted in ipairs(cmsgpack.unpack(ARGV[1])) do
  local register, cap, name, written = wanted[1], tonumber(wanted[2]), wanted[3], wanted[4]
  local field = register .. ':' .. name
  local code = call('HGET', key, field)
  if not code then
    local held = tonumber(call('HGET', key, register) or '0')
    if held < cap then
      code = held + 2
      call('HSET', key, field, code, register, held + 1)
      if written ~= name then call('HSET', key, register .. '=' .. code, written) end
    else
      code = 1
    end
  end
  codes[i] = tonumber(code)
end
return codes
