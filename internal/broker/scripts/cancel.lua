-- Takes an invocation back. A worker that has it loses its lease.
-- ARGV: CID
-- Returns the state that it was in ('' = there is none); it is cancelled unless that is one in which it had ended
local cid = ARGV[1]
local i = load(cid)
if not i then return '' end
local was = i.s
if was == 'done' or was == 'dead' or was == 'expired' or was == 'cancelled' then return was end
if was == 'running' then noted(cid, i, 'cancelled while it ran') end
call('ZREM', base .. was, cid)
call('ZREM', base .. 'expiring', cid)
ended(cid, i, 'cancelled')
trim('cancelled', policy().keep_n, 10)
return was
