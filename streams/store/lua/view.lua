#!lua flags=no-writes
-- Cells of a slot as of one apply. KEYS: cursor hash, one index (sorted set) per grain. ARGV[1]: prefix of the cell
-- groups (same hash tag), ARGV[2]: msgpack {{{grain, first, last}, ...}, dimension sets or false}.
-- Answers msgpack {off or false, meta or false, {{grain, member, flat fields and cells}, ...}}.
local call = redis.call
local asked = cmsgpack.unpack(ARGV[2])
local only = false
if asked[2] then
  only = {}
  for _, dimset in ipairs(asked[2]) do only[tostring(dimset)] = true end
end
local groups = {}
for i, grain in ipairs(asked[1]) do
  for _, member in ipairs(call('ZRANGEBYSCORE', KEYS[1 + i], grain[2], grain[3])) do
    if not only or only[string.match(member, ':(%d+)$')] then
      groups[#groups + 1] = {grain[1], member, call('HGETALL', ARGV[1] .. grain[1] .. ':' .. member)}
    end
  end
end
local at = call('HMGET', KEYS[1], 'off', 'meta')
return cmsgpack.pack({at[1], at[2], groups})
