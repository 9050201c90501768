-- Deletes dead letters.
-- ARGV: the CIDs
-- Returns of each: dead = deleted, else the state that it is in ('' = there is none)
local reply, dead = {}, {}
for _, cid in ipairs(ARGV) do
	local i = load(cid)
	reply[#reply + 1] = i and i.s or ''
	if i and i.s == 'dead' then dead[#dead + 1] = cid end
end
forget('dead', dead)
return reply
