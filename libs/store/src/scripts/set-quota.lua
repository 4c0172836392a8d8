-- Sets the quota of a group, or takes it away, and wakes all workers that found nothing: they may find something now.
-- ARGV: prefix, group, quota as JSON or nothing. Returns 1 where the group had a quota before.
local had = redis.call('HEXISTS', prefix .. ':quotas', ARGV[2])
if ARGV[3] == '' then
  redis.call('HDEL', prefix .. ':quotas', ARGV[2])
else
  redis.call('HSET', prefix .. ':quotas', ARGV[2], ARGV[3])
end
for _, class in ipairs(redis.call('SMEMBERS', prefix .. ':classes')) do
  wake_hungry(class, redis.call('SCARD', prefix .. ':hungry:' .. class))
end
return had
