-- Ends an attempt that failed, or gives it back unfinished.
-- ARGV: doorbell, what to say there, CID, lease, how: retry, dead (at once) or back (the attempt doesn't count); error, group and example of it,
--   ms until the next attempt (-1 = as the policy says), random number in [0, 1)
-- Returns {the state that it is in now, 1} or, if the worker has no lease, {the state that it is in ('' = there is none), 0}
local cid, how = ARGV[3], ARGV[5]
local i = load(cid)
if not i or i.s ~= 'running' or i.l ~= ARGV[4] then return {i and i.s or '', 0} end
call('ZREM', running, cid)
if how == 'back' then
	i.n = i.n > 1 and i.n - 1 or nil
	if i.x and not i.n then call('ZADD', base .. 'expiring', i.x, cid) end
	first(cid, i)
	call('PUBLISH', ARGV[1], ARGV[2])
	return {'queued', 1}
end
local p = policy()
noted(cid, i, ARGV[6])
if how == 'dead' or i.n >= (i.m or p.max_attempts) then
	die(cid, i, ARGV[7], ARGV[8], p)
	return {'dead', 1}
end
local wait = tonumber(ARGV[9])
if wait < 0 then wait = ARGV[10] * math.min(p.backoff_most_ms, p.backoff_ms * 2 ^ (i.n - 1)) end
wait = math.floor(wait)
if wait == 0 then
	i.s, i.l = 'queued', nil
	save(cid, i)
	call('ZADD', queued, us, cid)
	call('PUBLISH', ARGV[1], ARGV[2])
	return {'queued', 1}
end
i.s, i.l, i.d = 'retrying', nil, now + wait
save(cid, i)
call('ZADD', base .. 'retrying', now + wait, cid)
return {'retrying', 1}
