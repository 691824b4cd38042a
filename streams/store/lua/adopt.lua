#!lua
-- Put a funnel_id's state out of the shadow in place of what was counted, and end the hold.
-- KEYS: cursor hash, that of the shadow, versions of both (they begin anew), then pairs (shadow, own): those to be
-- moved, then those to be joined.
-- ARGV: recount, funnel_id, meta, number of pairs to be moved. Answers 1, 0 where that was done before, -1 where the cursors
-- differ.
local call, cur, from = redis.call, KEYS[1], KEYS[2]
if call('HGET', cur, 'held') ~= ARGV[1] then return 0 end
if call('HGET', cur, 'off') ~= call('HGET', from, 'off') then return -1 end
local moved = 4 + 2 * tonumber(ARGV[4])
for i = 5, moved, 2 do
  call('UNLINK', KEYS[i + 1])
  if call('EXISTS', KEYS[i]) == 1 then call('RENAME', KEYS[i], KEYS[i + 1]) end
end
for i = moved + 1, #KEYS, 2 do
  local flat = call('HGETALL', KEYS[i])
  for j = 1, #flat, 2 do call('HSET', KEYS[i + 1], flat[j], flat[j + 1]) end
  call('UNLINK', KEYS[i])
end
for _, kind in ipairs({'s:', 'o:', 'y:'}) do
  local field = kind .. ARGV[2]
  local value = call('HGET', from, field)
  if value then call('HSET', cur, field, value) else call('HDEL', cur, field) end
end
call('HSET', cur, 'meta', ARGV[3])
call('HDEL', cur, 'held', 'l:' .. ARGV[2])
call('UNLINK', from, KEYS[3], KEYS[4])
return 1
