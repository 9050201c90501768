-- Puts invocations into the queue, or among the delayed ones; or gives them to the worker that calls, so that it need not fetch them.
-- ARGV: doorbell, what to say there, worker, a random text; then of each: CID, payload ('' = null), fields of its record, each with a comma after it,
--   1 = the worker can run it at once, options as JSON ('' = none):
--   delay, expires (ms from now), known (1 = there may be one with this CID), key (hash of the idempotency key), hash (of the payload),
--   keep (of the key, ms)
-- Returns of each: 0 = done; below 0 = done, and the worker has it for so many ms; 1 = there was one with this CID; the CID of the first with this key; ! and that CID if its payload was another
local QUEUED = '{"s":"queued",' -- begins the record of all that are for the queue
local CREATED = '"c":' .. now_text
local reply, queue, new, here, run = {}, {}, {}, {}, {}
local policy, running_head -- of what the worker gets

-- free tells whether the worker may have one: not before others that wait, and not of a service that is paused.
local function free()
	if not policy then
		policy = call('HMGET', base .. 'policy', 'paused', 'lease_ms')
		policy.lease = tonumber(policy[2]) or DEFAULT.lease_ms
		policy.till = string.format('%.0f', now + policy.lease)
		policy.free = policy[1] ~= '1' and call('EXISTS', queued) == 0
		running_head = '{"s":"running","l":"1-' .. ARGV[4] .. '","n":1,"w":' .. cjson.encode(ARGV[3]) .. ',"b":' .. now_text .. ',"t":' .. policy.lease .. ','
	end
	return policy.free and #queue == 0
end

-- put adds one, unless it is there; it returns what to answer.
local function put(cid, payload, fields, may, o)
	local before = o and o.key and call('GET', base .. 'k:' .. o.key)
	if before then
		local was, hash = string.match(before, '^(%S+) (%S+)$')
		return hash == o.hash and was or '!' .. was
	end
	if o and o.known then
		if here[cid] or call('EXISTS', record .. cid) == 1 then return 1 end
		here[cid] = true
	end
	local first, tail = QUEUED, '}'
	if o and o.key then call('SET', base .. 'k:' .. o.key, cid .. ' ' .. o.hash, 'PX', o.keep) end
	local runs = may and not (o and o.delay) and free()
	if o and o.expires then
		tail = string.format(',"x":%.0f}', now + o.expires)
		if not runs then call('ZADD', base .. 'expiring', now + o.expires, cid) end
	end
	if runs then
		first = running_head
		run[#run + 1] = policy.till
		run[#run + 1] = cid
	elseif o and o.delay then
		first, tail = '{"s":"delayed",', string.format(',"d":%.0f', now + o.delay) .. tail
		call('ZADD', base .. 'delayed', now + o.delay, cid)
	else
		queue[#queue + 1] = us + #queue / 2
		queue[#queue + 1] = cid
	end
	new[#new + 1] = record .. cid
	new[#new + 1] = first .. fields .. CREATED .. tail
	if payload ~= '' then
		new[#new + 1] = base .. 'p:' .. cid
		new[#new + 1] = payload
	end
	return runs and -policy.lease or 0
end

for j = 5, #ARGV, 5 do
	reply[#reply + 1] = put(ARGV[j], ARGV[j + 1], ARGV[j + 2], ARGV[j + 3] == '1', ARGV[j + 4] ~= '' and cjson.decode(ARGV[j + 4]))
end
if #new > 0 then call('MSET', unpack(new)) end
if #run > 0 then
	call('ZADD', running, unpack(run))
	call('ZADD', base .. 'workers', now_text, ARGV[3])
end
if #queue > 0 then
	-- Who finds the queue empty waits for the bell; who does not takes what is there.
	local was = call('EXISTS', queued)
	call('ZADD', queued, unpack(queue))
	if was == 0 then call('PUBLISH', ARGV[1], ARGV[2]) end
end
return reply
