#!lua
-- What became of a recount. KEYS: hash of recounts, its lease. ARGV: recount. One that is open and whose lease is over ends
-- here, so that it cannot be decided any more. Answers its state, or false where it is over.
local call = redis.call
local state = call('HGET', KEYS[1], ARGV[1])
if state == 'open' and call('EXISTS', KEYS[2]) == 0 then
  call('HDEL', KEYS[1], ARGV[1])
  return false
end
return state
