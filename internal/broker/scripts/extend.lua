-- Makes a lease end its whole length from now.
-- ARGV: CID, lease
-- Returns when it ends, Unix ms, or the state of the invocation if the lease is lost ('' = there is none)
local i = load(ARGV[1])
if not i or i.s ~= 'running' or i.l ~= ARGV[2] then return i and i.s or '' end
call('ZADD', running, now + i.t, ARGV[1])
return now + i.t
