-- Settles what is due, and hands out the first of the queue.
-- ARGV: doorbell, what to say there; then of each who asks: worker, how many, length of the lease in ms (0 = the policy's), a random text
-- Returns {how many are left in the queue, ms until there may be more (-1 = not known), 1 = paused, how many came into the queue;
--   then of each that is handed out: {who gets it, counted from 1; CID, payload, attempt, in reply to, µs it waited, length of the lease in ms}}
local MOST_BYTES = 8 * 1024 * 1024 -- of payloads, about
local QUEUED = '{"s":"queued",' -- begins the record of all that are in the queue
local p = policy()
local moved, soonest = settle(p, 100)
local out, bytes = {0, 0, p.paused and 1 or 0, moved}, 0

-- hand gives a worker at most n of the queue, and returns how many it took from there.
local function hand(who, worker, n, lease, token)
	local got = call('ZPOPMIN', queued, n)
	local taken = #got / 2
	local keys, run, new = {}, {}, {}
	for j = 1, taken do
		keys[j] = record .. got[2 * j - 1]
		keys[taken + j] = base .. 'p:' .. got[2 * j - 1]
	end
	local texts = call('MGET', unpack(keys))
	local rest = ',"w":' .. cjson.encode(worker) .. ',"b":' .. now_text .. ',"t":' .. lease .. ','
	local till = string.format('%.0f', now + lease)
	for j = 1, taken do
		local cid, text = got[2 * j - 1], texts[j]
		local attempt, reply = 1, false
		if text and (has(text, 'n') or has(text, 'x') or has(text, 're')) then
			local i = cjson.decode(text)
			reply, attempt = i.re or false, (i.n or 0) + 1
			if i.x and not i.n then
				if i.x <= now then
					expire(cid, i, p)
					text = nil
				else
					call('ZREM', base .. 'expiring', cid)
				end
			end
			i.s, i.n, i.w, i.b, i.t = 'queued', nil, nil, nil, nil
			text = text and written(i)
		end
		if text then -- else it is over, or somebody deleted its record
			local payload = texts[taken + j]
			bytes = bytes + (payload and #payload or 0)
			new[#new + 1] = keys[j]
			new[#new + 1] = '{"s":"running","l":"' .. attempt .. '-' .. token .. '","n":' .. attempt .. rest .. string.sub(text, #QUEUED + 1)
			run[#run + 1] = till
			run[#run + 1] = cid
			out[#out + 1] = {who, cid, payload, attempt, reply, us - got[2 * j], lease}
		end
	end
	if #run > 0 then
		call('MSET', unpack(new))
		call('ZADD', running, unpack(run))
	end
	return taken
end

local left = call('ZCARD', queued)
for j = 3, #ARGV, 4 do
	local worker, n, lease = ARGV[j], tonumber(ARGV[j + 1]), tonumber(ARGV[j + 2])
	call('ZADD', base .. 'workers', now_text, worker)
	if lease == 0 then lease = p.lease_ms end
	while not p.paused and left > 0 and n > 0 and bytes < MOST_BYTES do
		local got = hand((j + 1) / 4, worker, math.min(n, left, 32), lease, ARGV[j + 3])
		n, left = n - got, left - got
	end
end
out[1] = left
out[2] = soonest and math.max(soonest - now, 0) or -1
if moved > 0 and left > 0 then call('PUBLISH', ARGV[1], ARGV[2]) end
return out
