-- Takes what was published as a callback out of the outbox.
-- ARGV of each: CID, CID of the callback
for j = 1, #ARGV, 2 do
	local i = load(ARGV[j])
	if call('ZREM', base .. 'outbox', ARGV[j]) == 1 and i and ARGV[j + 1] ~= '' then
		i.cc = ARGV[j + 1]
		save(ARGV[j], i)
	end
end
return #ARGV / 2
