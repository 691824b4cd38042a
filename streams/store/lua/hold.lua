#!lua
-- Stop the counting of a partition for a recount. KEYS: cursor hash. ARGV: recount, nonce. The owner is fenced, and nobody
-- claims until the recount is decided. Answers the cursor and meta, or false without state.
local call, cur = redis.call, KEYS[1]
local now = call('HMGET', cur, 'off', 'meta')
if not now[1] then return false end
local token = call('HINCRBY', cur, 'epoch', 1) .. ARGV[2]
call('HSET', cur, 'held', ARGV[1], 'token', token)
return now
