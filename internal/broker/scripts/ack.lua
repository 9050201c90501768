-- Ends attempts well.
-- ARGV of each: CID, lease, result as JSON ('' = none)
-- Returns of each: 0 = done, 1 = done and its callback is in the outbox; else the state that it is in ('' = there is none)
local reply, keys, ended, ran, done, new = {}, {}, {}, {}, {}, {}
for j = 1, #ARGV, 3 do keys[#keys + 1] = record .. ARGV[j] end
for j, text in ipairs(call('MGET', unpack(keys))) do
	local cid, lease, result = ARGV[3 * j - 2], ARGV[3 * j - 1], ARGV[3 * j]
	local held = '{"s":"running","l":"' .. lease .. '",'
	if ended[cid] then
		reply[j] = 'done'
	elseif not text or string.find(text, held, 1, true) ~= 1 then
		reply[j] = text and cjson.decode(text).s or ''
	else
		ended[cid] = true
		new[#new + 1] = keys[j]
		new[#new + 1] = '{"s":"done","e":' .. now_text .. ',' .. string.sub(text, #held + 1)
		if result ~= '' then
			new[#new + 1] = base .. 'r:' .. cid
			new[#new + 1] = result
		end
		reply[j] = 0
		if has(text, 'cb') then
			call('ZADD', base .. 'outbox', now_text, cid)
			reply[j] = 1
		end
		ran[#ran + 1] = cid
		done[#done + 1] = us_text
		done[#done + 1] = cid
	end
end
if #ran > 0 then
	call('MSET', unpack(new))
	call('ZREM', running, unpack(ran))
	call('ZADD', base .. 'done', unpack(done))
	trim('done', tonumber(call('HGET', base .. 'policy', 'keep_n')) or DEFAULT.keep_n, 2 * #ran)
end
return reply
