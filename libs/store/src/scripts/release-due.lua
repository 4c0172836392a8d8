-- Moves jobs whose back-off is over into their backlogs. ARGV: prefix, limit. Returns the classes that got some.
local ids = redis.call('ZRANGEBYSCORE', prefix .. ':due', '-inf', now_ms(), 'LIMIT', 0, ARGV[2])
local classes = {}
for _, id in ipairs(ids) do
  redis.call('ZREM', prefix .. ':due', id)
  redis.call('HDEL', job_key(id), 'due_at')
  to_backlog(id)
  classes[#classes + 1] = redis.call('HGET', job_key(id), 'class')
end
return classes
