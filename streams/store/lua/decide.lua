#!lua
-- Switch to what a recount has counted: the one moment of the switch; each partition follows by `adopt`.
-- KEYS: hash of recounts, switched, fingerprints, definitions, registers, registers of the shadow.
-- ARGV: recount, decision, funnel name, definition, funnel_id, fingerprint. Answers 0 where the recount is over.
local call = redis.call
if call('HGET', KEYS[1], ARGV[1]) ~= 'open' then return 0 end
call('HSET', KEYS[1], ARGV[1], ARGV[2])
call('HSET', KEYS[2], ARGV[3], ARGV[4])
call('HSET', KEYS[3], ARGV[5], ARGV[6])
call('HSET', KEYS[4], ARGV[5], ARGV[4])
call('UNLINK', KEYS[5])
if call('EXISTS', KEYS[6]) == 1 then call('RENAME', KEYS[6], KEYS[5]) end
return 1
