#!lua flags=no-writes
-- A page of facts. KEYS: hashes, from the one where the page before ended. ARGV: HSCAN cursor within it, facts wanted.
-- Answers {cursor, number of hashes that are read to their end, {key, value, ...}}.
local cursor, wanted, flat, done = ARGV[1], tonumber(ARGV[2]), {}, 0
while done < #KEYS and #flat < 2 * wanted do
  local answer = redis.call('HSCAN', KEYS[done + 1], cursor, 'COUNT', wanted)
  cursor = answer[1]
  for _, text in ipairs(answer[2]) do flat[#flat + 1] = text end
  if cursor == '0' then done = done + 1 end
end
return {cursor, done, flat}
