#!lua flags=no-writes
-- Values of fields. KEYS: hashes. ARGV[1]: msgpack {{fields of the first}, ...}. Answers msgpack {{value or false, ...}, ...}.
local call, LIMIT = redis.call, 4000 -- of values `unpack` puts on Lua's stack
local answers = {}
for i, fields in ipairs(cmsgpack.unpack(ARGV[1])) do
  if #fields <= LIMIT then
    answers[i] = call('HMGET', KEYS[i], unpack(fields))
  else
    local values = {}
    for from = 1, #fields, LIMIT do
      for _, value in ipairs(call('HMGET', KEYS[i], unpack(fields, from, math.min(from + LIMIT - 1, #fields)))) do
        values[#values + 1] = value
      end
    end
    answers[i] = values
  end
end
return cmsgpack.pack(answers)
