-- Takes ARGV[2] pieces of the article ARGV[1] out of the stock KEYS[1] (a hash, article -> pieces) and notes the
-- reservation ARGV[3] in KEYS[2] (a hash, reservation -> pieces), both or neither.
-- Replies with what is left, or with an error when there is too little.

local stock, reservations = KEYS[1], KEYS[2]
local article, wanted, reservation = ARGV[1], tonumber(ARGV[2]), ARGV[3]

if not wanted or wanted < 1 or wanted % 1 ~= 0 then
    return redis.error_reply('ERR the number of pieces must be 1 or more')
end

local there = tonumber(redis.call('HGET', stock, article) or '0')
if there < wanted then
    return redis.error_reply('ERR only ' .. there .. ' pieces of ' .. article .. ' are there')
end

redis.call('HSET', reservations, reservation, wanted)
return redis.call('HINCRBY', stock, article, -wanted)
