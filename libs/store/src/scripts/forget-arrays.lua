-- Removes arrays that have ended. Their jobs ended before them and are forgotten as other jobs are.
-- ARGV: prefix, finished before (ms), limit. Returns how many.
local ids = redis.call('ZRANGEBYSCORE', prefix .. ':arrays:finished', '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do
  local key = array_key(id)
  local user = redis.call('HGET', key, 'user')
  redis.call('ZREM', prefix .. ':arrays', id)
  redis.call('ZREM', prefix .. ':arrays:finished', id)
  if user then redis.call('ZREM', prefix .. ':arrays:user:' .. user, id) end
  redis.call('HDEL', prefix .. ':quotas', 'array/' .. id)
  redis.call('SREM', prefix .. ':arrays:cancelling', id)
  redis.call('DEL', key, key .. ':completed', key .. ':failed', key .. ':cancelled', key .. ':live', key .. ':jobs', key .. ':values',
    key .. ':cancelling')
end
return #ids
