-- Puts dead letters back into the queue, with as many attempts again as the policy says.
-- ARGV: doorbell, what to say there, 1 = another payload, that payload ('' = null), who edited it; then the CIDs
-- Returns of each: dead = done, else the state that it is in ('' = there is none)
local p, reply, some = policy(), {}, false
for j = 6, #ARGV do
	local cid = ARGV[j]
	local i = load(cid)
	reply[#reply + 1] = i and i.s or ''
	if i and i.s == 'dead' then
		some = true
		call('ZREM', base .. 'dead', cid)
		leave(cid, i.f)
		i.s, i.m, i.e, i.f = 'queued', i.n + p.max_attempts, nil, nil
		if ARGV[3] == '1' then
			i.ed = ARGV[5]
			if ARGV[4] == '' then call('UNLINK', base .. 'p:' .. cid) else call('SET', base .. 'p:' .. cid, ARGV[4]) end
		end
		save(cid, i)
		call('ZADD', queued, us + j, cid)
	end
end
if some then call('PUBLISH', ARGV[1], ARGV[2]) end
return reply
