-- Says whether one more call is within the limit: at most ARGV[1] calls in ARGV[2] seconds, counted in KEYS[1] (a string).
-- Replies with {1 or 0, calls that are left, seconds until the count begins anew}.

local calls, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local count = redis.call('INCR', KEYS[1])
if count == 1 then
    redis.call('EXPIRE', KEYS[1], window)
end

local within = count <= calls
return { within and 1 or 0, math.max(calls - count, 0), redis.call('TTL', KEYS[1]) }
