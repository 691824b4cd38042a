#!lua
-- End the hold of a recount that is over. KEYS: cursor hash. ARGV: recount.
if redis.call('HGET', KEYS[1], 'held') == ARGV[1] then redis.call('HDEL', KEYS[1], 'held') end
return 1
