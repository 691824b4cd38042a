#!lua
-- Move a partition's cursor by an operator's decision. KEYS: cursor hash, gaps stream. ARGV: partition, offset, reason,
-- nonce, layout. Answers {1, old, new}, {0, cursor} when that would go back, {-1} without state, {-2, layout} where that is
-- newer, {-3} while a recount holds it. Asked again, it records nothing new.
local call, cur, gaps = redis.call, KEYS[1], KEYS[2]
local off = call('HGET', cur, 'off')
local new = ARGV[2]
if not off then return {-1} end
local layout = tonumber(call('HGET', cur, 'layout') or 1)
if layout > tonumber(ARGV[5]) then return {-2, layout} end
if call('HEXISTS', cur, 'held') == 1 then return {-3} end
if off == new then
  local last = call('XREVRANGE', gaps, '+', '-', 'COUNT', 1)[1]
  if last and last[2][6] == new then return {1, last[2][4], new} end
  return {1, off, new}
end
if #new < #off or (#new == #off and new < off) then return {0, off} end
local now = call('TIME')
call('XADD', gaps, '*', 'partition', ARGV[1], 'old', off, 'new', new, 'reason', ARGV[3],
  'at_ms', now[1] .. string.format('%03d', math.floor(now[2] / 1000)))
call('HINCRBY', cur, 'seq', 1)
local token = call('HINCRBY', cur, 'epoch', 1) .. ARGV[4]
call('HSET', cur, 'off', new, 'token', token)
return {1, off, new}
