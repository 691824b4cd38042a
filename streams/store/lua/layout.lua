#!lua
-- Raise the layout of a space. KEYS: layout string. ARGV: layout of this version. Answers the newest one; where that is
-- not this version's, nothing is written.
local stored = tonumber(redis.call('GET', KEYS[1]) or 0)
if stored < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return math.max(stored, tonumber(ARGV[1]))
