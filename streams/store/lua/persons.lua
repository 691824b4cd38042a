#!lua flags=no-writes
-- Persons of buckets. KEYS: pairs of a hash of parts and the list of what was written since. ARGV[1]: msgpack, for each
-- pair {numbers of the persons whose parts are wanted, or 'all'; 1 where the list is wanted}.
-- Answers for each pair {number of parts, their bytes, {number, part, ...}, {entry of the list, ...}}.
local call, answers = redis.call, {}
for i, wanted in ipairs(cmsgpack.unpack(ARGV[1])) do
  local hash, list = KEYS[2 * i - 1], KEYS[2 * i]
  local known = call('HMGET', hash, 'n', 'b')
  local parts, numbers, seen, flat = tonumber(known[1] or 0), {}, {}, {}
  if wanted[1] == 'all' then
    for number = 0, parts - 1 do numbers[number + 1] = number end
  elseif parts > 0 then
    for _, person in ipairs(wanted[1]) do
      local number = person % parts
      if not seen[number] then
        seen[number] = true
        numbers[#numbers + 1] = number
      end
    end
  end
  if #numbers > 0 then
    for j, part in ipairs(call('HMGET', hash, unpack(numbers))) do
      if part then
        flat[#flat + 1] = numbers[j]
        flat[#flat + 1] = part
      end
    end
  end
  answers[i] = {parts, tonumber(known[2] or 0), flat, wanted[2] == 1 and call('LRANGE', list, 0, -1) or {}}
end
return answers
