-- Renames KEYS[1] to KEYS[2] if it exists: 10 renamed, 11 no such key.

local from_key = KEYS[1]
local to_key = KEYS[2]

if redis.call('exists', from_key) == 1 then
    redis.call('rename', from_key, to_key)
    return 10
else
    return 11
end
