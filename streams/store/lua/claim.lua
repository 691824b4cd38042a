#!lua
-- Take ownership of a partition. KEYS: cursor hash. ARGV: nonce (9 digits), layout, layouts of a new funnel ('' for the
-- first layout), then the funnel_ids. Answers {'ok', off, seq, token, meta, {known before?, core state, layouts} of each
-- funnel_id}, {'missed', funnel_id, left out at, off}, {'layout', stored} where that is newer, or {'held', recount}.
local call, cur = redis.call, KEYS[1]
local layout = tonumber(call('HGET', cur, 'layout') or 1)
if layout > tonumber(ARGV[2]) then return {'layout', layout} end
local held = call('HGET', cur, 'held')
if held then return {'held', held} end
local off = call('HGET', cur, 'off') or '0'
local wanted = {}
for i = 4, #ARGV do
  local left = call('HGET', cur, 'l:' .. ARGV[i])
  if left and left ~= off then return {'missed', ARGV[i], left, off} end
  wanted[ARGV[i]] = true
end
local active = call('HGET', cur, 'active')
for _, funnel_id in ipairs(active and cmsgpack.unpack(active) or {}) do
  if not wanted[funnel_id] then call('HSETNX', cur, 'l:' .. funnel_id, off) end
end
local funnel_ids, names = {}, {}
for i = 4, #ARGV do
  local new = call('HSETNX', cur, 's:' .. ARGV[i], off)
  call('HDEL', cur, 'l:' .. ARGV[i])
  if new == 1 and #ARGV[3] > 0 then call('HSET', cur, 'y:' .. ARGV[i], ARGV[3]) end
  funnel_ids[i - 3] = {1 - new, call('HGET', cur, 'o:' .. ARGV[i]), call('HGET', cur, 'y:' .. ARGV[i])}
  names[i - 3] = ARGV[i]
end
-- The nonce keeps a token unique even when a server forgot the newest claims.
local token = call('HINCRBY', cur, 'epoch', 1) .. ARGV[1]
call('HSETNX', cur, 'seq', '0')
call('HSET', cur, 'off', off, 'token', token, 'layout', ARGV[2], 'active', cmsgpack.pack(names))
local now = call('HMGET', cur, 'seq', 'meta')
return {'ok', off, now[1], token, now[2], funnel_ids}
