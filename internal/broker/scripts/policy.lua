-- Changes the policy if it still has the version that it was read with.
-- ARGV: version, then field, value …
-- Returns the new version, or -1 if somebody changed it since
local key = base .. 'policy'
if (call('HGET', key, 'version') or '0') ~= ARGV[1] then return -1 end
call('HSET', key, unpack(ARGV, 2))
return call('HINCRBY', key, 'version', 1)
