#!lua
-- Write everything a chunk changes and move the cursor, or nothing. ARGV[1]: one msgpack array:
--  1 token  2 off  3 seq  4 next off  5 next seq (decimal texts: Lua's numbers end at 2^53)
--  6 cursor fields to set besides (flat)  7 funnel_ids written (`s:` fields)
--  8 entries: a value to be appended           KEYS: a list each, of a bucket of persons
--  9 sets: {flat fields and values}            KEYS: a hash each, of persons or of facts
-- 10 dels: {fields}                            KEYS: a hash each, of persons or of facts
-- 11 cells: {flat sets, dels, bucket, member, index, version field or ''}    KEYS: a hash each; index counts within 14
-- 12 expired: {member, index}                  KEYS: a hash each
-- 13 earliest deadlines: {flat byte offset, 4 bytes, ascending; size}   KEYS: a string each
-- 14 number of index keys                      KEYS: a sorted set each
-- 15 names: {flat fields; codes}              KEYS: a register hash each (not in a cluster)
-- Further KEYS are deleted: lists and hashes of persons that the sets replace. Those come first, so that a file that is
-- torn between the two holds the persons twice rather than not at all.
-- KEYS begin with the cursor and the hash of versions. That names the apply (token and sequence) that wrote a group last,
-- `@` the sequence of the newest apply, and `base` the apply from which on versions are written, which holds for groups
-- without one: where `@` is not the sequence found, something else has written, and all begins anew.
-- Answers 1 written, 2 written by an earlier try of this very apply, 0 fenced, -1 names forgotten.
local w = cmsgpack.unpack(ARGV[1])
local call, cur, versions = redis.call, KEYS[1], KEYS[2]
local s = call('HMGET', cur, 'off', 'seq', 'token')
if s[3] ~= w[1] then return 0 end
if s[1] ~= w[2] or s[2] ~= w[3] then
  if s[1] == w[4] and s[2] == w[5] then return 2 end
  return 0
end
for _, field in ipairs(w[7]) do
  if call('HEXISTS', cur, field) == 0 then return 0 end
end
local entries, sets, dels, cells, expired, earliest_deadlines = w[8], w[9], w[10], w[11], w[12], w[13]
local k = 2 + #entries + #sets + #dels + #cells + #expired + #earliest_deadlines + w[14]
for i, wanted in ipairs(w[15]) do
  for j, code in ipairs(call('HMGET', KEYS[k + i], unpack(wanted[1]))) do
    if code ~= wanted[2][j] then return -1 end
  end
end

local gone = {}
local LIMIT = 4000 -- of values `unpack` puts on Lua's stack, which ends at 8,000
local function many(command, key, list)
  local n = #list
  if n <= LIMIT then return call(command, key, unpack(list)) end
  local changed = 0
  for from = 1, n, LIMIT do
    changed = changed + call(command, key, unpack(list, from, math.min(from + LIMIT - 1, n)))
  end
  return changed
end

for i = k + #w[15] + 1, #KEYS do gone[#gone + 1] = KEYS[i] end
local this = w[1] .. ':' .. w[5]
if call('HGET', versions, '@') ~= w[3] then
  call('UNLINK', versions)
  call('HSET', versions, 'base', this)
end
local written = {'@', w[5]}
k = 2
for i = 1, #entries do call('RPUSH', KEYS[k + i], entries[i]) end
k = k + #entries
for i = 1, #sets do many('HSET', KEYS[k + i], sets[i]) end
k = k + #sets
for i = 1, #dels do many('HDEL', KEYS[k + i], dels[i]) end
k = k + #dels
for _, key in ipairs(gone) do call('UNLINK', key) end
local x = k + #cells + #expired + #earliest_deadlines
for i = 1, #cells do
  local c = cells[i]
  local key = KEYS[k + i]
  if #c[1] > 0 and many('HSET', key, c[1]) > 0 then call('ZADD', KEYS[x + c[5]], c[3], c[4]) end
  if #c[2] > 0 and many('HDEL', key, c[2]) > 0 and call('EXISTS', key) == 0 then
    call('ZREM', KEYS[x + c[5]], c[4])
  end
  if c[6] ~= '' then
    written[#written + 1] = c[6]
    written[#written + 1] = this
  end
end
k = k + #cells
for i = 1, #expired do
  call('UNLINK', KEYS[k + i])
  call('ZREM', KEYS[x + expired[i][2]], expired[i][1])
end
k = k + #expired
for i = 1, #earliest_deadlines do
  local key, flat, size = KEYS[k + i], earliest_deadlines[i][1], earliest_deadlines[i][2]
  local old = call('GET', key) or string.rep('\255', size)
  local parts, from = {}, 1
  for j = 1, #flat, 2 do
    parts[#parts + 1] = string.sub(old, from, flat[j])
    parts[#parts + 1] = flat[j + 1]
    from = flat[j] + 5
  end
  parts[#parts + 1] = string.sub(old, from)
  call('SET', key, table.concat(parts))
end
many('HSET', versions, written)
call('HSET', cur, 'off', w[4], 'seq', w[5], unpack(w[6]))
return 1
