-- Does what is due, and forgets what was kept long enough.
-- ARGV: doorbell, what to say there, how many of each kind at most
-- Returns {how many came into the queue, 1 = there is more to do at once}
local p, most = policy(), tonumber(ARGV[3])
local moved, soonest = settle(p, most)
if moved > 0 and not p.paused then call('PUBLISH', ARGV[1], ARGV[2]) end
local more = soonest and soonest <= now and 1 or 0
for state, keep in pairs({done = {p.keep_n, p.keep_ms}, expired = {p.keep_n, p.keep_ms},
	cancelled = {p.keep_n, p.keep_ms}, dead = {p.dead_keep_n, p.dead_keep_ms}}) do
	trim(state, keep[1], most)
	local old = call('ZRANGE', base .. state, '-inf', us - keep[2] * 1000, 'BYSCORE', 'LIMIT', 0, most)
	if forget(state, old) == most then more = 1 end
end
call('ZREMRANGEBYSCORE', base .. 'workers', '-inf', now - 3600000)
return {moved, more}
