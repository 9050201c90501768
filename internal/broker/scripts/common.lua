-- What all scripts of a service begin with. KEYS[1] begins all keys of the service (kvdb.ServiceKeys.Base), KEYS[2] is of the same slot and
-- no key ever: a cluster that moves the slot refuses the script then, instead of running it on a half of the keys.
--
-- The record of an invocation (STRING <base>i:<cid>) is JSON, so that many are read and written in one command. Times are in Unix ms:
--   s state   c created   d due (delayed, retrying)   x expires   e ended
--   n number of the last attempt   m most attempts (none = the policy's)   w its worker   b when it began   l its lease   t length of the lease
--   cb callback   cc CID of the callback   re in reply to   by who called   ed who edited the payload   k 1 = with an idempotency key
--   f fingerprint of the error (dead)
-- s comes first and l, if there is one, second: scripts that run all the time change the text from its beginning instead of decoding it.
local base, call = KEYS[1], redis.call
local clock = call('TIME')
local us = clock[1] * 1000000 + clock[2]
local now = math.floor(us / 1000)
local now_text, us_text = string.format('%.0f', now), string.format('%.0f', us)
local record = base .. 'i:' -- and the CID
local queued, running = base .. 'queued', base .. 'running'

local KEEP_ATTEMPTS = 100 -- of each invocation
local MOST_GROUPS = 200   -- of dead letters

-- load returns the record of an invocation; nil if there is none.
local function load(cid)
	local text = call('GET', record .. cid)
	return text and cjson.decode(text) or nil
end

-- written returns the text of a record.
local function written(i)
	local head = '{"s":"' .. i.s .. '",'
	if i.l then head = head .. '"l":"' .. i.l .. '",' end
	i.s, i.l = nil, nil
	return head .. string.sub(cjson.encode(i), 2)
end

-- save writes a record; i is spent then.
local function save(cid, i) call('SET', record .. cid, written(i)) end

-- has tells whether a record has a field. No text within it can look like one, as its quotes are escaped.
local function has(text, field) return string.find(text, '"' .. field .. '":', 1, true) end

-- policy returns that of the service.
local function policy()
	local names = {'max_attempts', 'backoff_ms', 'backoff_most_ms', 'lease_ms', 'keep_ms', 'keep_n', 'dead_keep_ms', 'dead_keep_n'}
	local got = call('HMGET', base .. 'policy', 'paused', unpack(names))
	local p = {paused = got[1] == '1'}
	for j, name in ipairs(names) do
		p[name] = tonumber(got[j + 1]) or DEFAULT[name]
	end
	return p
end

-- leave takes a dead letter out of its group.
local function leave(cid, group)
	call('ZREM', base .. 'dead:' .. group, cid)
	if call('EXISTS', base .. 'dead:' .. group) == 0 then call('HDEL', base .. 'errors', group) end
end

-- forget deletes invocations of one state.
local function forget(state, cids)
	if state == 'done' and call('ZCARD', base .. 'outbox') > 0 then -- the result is still needed
		local may = {}
		for _, cid in ipairs(cids) do
			if not call('ZSCORE', base .. 'outbox', cid) then may[#may + 1] = cid end
		end
		cids = may
	end
	if #cids == 0 then return 0 end
	if state == 'dead' then
		for _, cid in ipairs(cids) do
			local i = load(cid)
			if i and i.f then leave(cid, i.f) end
		end
	end
	local keys = {}
	for _, cid in ipairs(cids) do
		keys[#keys + 1] = record .. cid
		keys[#keys + 1] = base .. 'p:' .. cid
		keys[#keys + 1] = base .. 'r:' .. cid
		keys[#keys + 1] = base .. 'a:' .. cid
	end
	call('UNLINK', unpack(keys))
	call('ZREM', base .. state, unpack(cids))
	return #cids
end

-- trim forgets the oldest of a state if there are more than keep, at most that many at a time.
local function trim(state, keep, most)
	local over = call('ZCARD', base .. state) - keep
	if over > 0 then forget(state, call('ZRANGE', base .. state, 0, math.min(over, most) - 1)) end
end

-- ended puts an invocation into a state in which nothing more happens; it is in no other set any more.
local function ended(cid, i, state)
	i.s, i.l, i.e = state, nil, now
	save(cid, i)
	call('ZADD', base .. state, us_text, cid)
end

-- noted adds the attempt that ends to those of the invocation.
local function noted(cid, i, why)
	local attempts = base .. 'a:' .. cid
	call('RPUSH', attempts, cjson.encode({n = i.n, worker = i.w, begun = i.b, ended = now, error = why}))
	call('LTRIM', attempts, -KEEP_ATTEMPTS, -1)
end

-- die makes an invocation a dead letter; it is in no other set any more.
local function die(cid, i, group, example, p)
	if call('HEXISTS', base .. 'errors', group) == 0 and call('HLEN', base .. 'errors') >= MOST_GROUPS then
		group, example = 'other', 'other errors'
	end
	i.f = group
	ended(cid, i, 'dead')
	call('HSET', base .. 'errors', group, example)
	call('ZADD', base .. 'dead:' .. group, us_text, cid)
	trim('dead', p.dead_keep_n, 10)
end

-- first puts an invocation that had its turn before all that were created later.
local function first(cid, i)
	i.s, i.l = 'queued', nil
	call('ZADD', queued, i.c * 1000, cid)
	save(cid, i)
end

-- expire ends an invocation whose time is over; it is in no other set but expiring any more.
local function expire(cid, i, p)
	call('ZREM', base .. 'expiring', cid)
	ended(cid, i, 'expired')
	trim('expired', p.keep_n, 10)
end

-- head returns the lowest score of a set.
local function head(set)
	return tonumber(call('ZRANGE', set, 0, 0, 'WITHSCORES')[2])
end

-- due returns at most that many of a set whose time has come, each with its score after it, and the time of the next one if none has.
local function due(set, most)
	local at = head(set)
	if not at then return {}, nil end
	if at > now then return {}, at end
	return call('ZRANGE', set, '-inf', now_text, 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES'), now
end

-- settle does what is due by now, at most that many of each kind. It returns how many came into the queue, and when there is more to
-- do; nil = never.
local function settle(p, most)
	local moved, soonest = 0, nil
	local function later(at)
		if at and (not soonest or at < soonest) then soonest = at end
	end
	for _, state in ipairs({'delayed', 'retrying'}) do
		local those, at = due(base .. state, most)
		later(at)
		for j = 1, #those, 2 do
			local i = load(those[j])
			call('ZREM', base .. state, those[j])
			if i then -- else somebody deleted its record
				i.s = 'queued'
				save(those[j], i)
				call('ZADD', queued, those[j + 1] * 1000, those[j])
				moved = moved + 1
			end
		end
	end
	local those, at = due(base .. 'expiring', most)
	later(at)
	for j = 1, #those, 2 do
		local i = load(those[j])
		if i then
			call('ZREM', base .. i.s, those[j])
			expire(those[j], i, p)
		else
			call('ZREM', base .. 'expiring', those[j])
		end
	end
	those, at = due(running, most)
	later(at)
	for j = 1, #those, 2 do
		local cid = those[j]
		local i = load(cid)
		call('ZREM', running, cid)
		if i then
			local why = 'the worker ' .. i.w .. ' vanished: its lease ran out'
			noted(cid, i, why)
			if i.n >= (i.m or p.max_attempts) then
				die(cid, i, 'vanished', why, p)
			else
				first(cid, i)
				moved = moved + 1
			end
		end
	end
	return moved, soonest
end
