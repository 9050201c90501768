-- Renames a key if there is one, whatever has the new name already.
--
-- KEYS: 1 the key, 2 its new name. On a cluster both are of one hash slot: {a}x and {a}y.
-- Returns 10 if it was renamed, 11 if there is no such key.
if #KEYS ~= 2 then
  return redis.error_reply('ERR give two keys: the key and its new name')
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 11
end
redis.call('RENAME', KEYS[1], KEYS[2])
return 10
