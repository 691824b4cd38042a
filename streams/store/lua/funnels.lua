#!lua
-- Remember definitions. KEYS: funnel hash. ARGV: funnel_id, fingerprint, ... Answers the funnel_ids that have another one (then nothing is written).
local other = {}
for i = 1, #ARGV, 2 do
  local stored = redis.call('HGET', KEYS[1], ARGV[i])
  if stored and stored ~= ARGV[i + 1] then other[#other + 1] = ARGV[i] end
end
if #other == 0 and #ARGV > 0 then redis.call('HSET', KEYS[1], unpack(ARGV)) end
return other
