#!lua flags=no-writes
-- Whole hashes at once, for many small ones. KEYS: hashes. Answers msgpack {{field, value, ...}, ...}.
local answers = {}
for i, key in ipairs(KEYS) do answers[i] = redis.call('HGETALL', key) end
return cmsgpack.pack(answers)
