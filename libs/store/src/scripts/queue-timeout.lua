-- Fails jobs that are still pending past their queue deadline. A claim takes the deadline away: should the job come back to the queue
-- later, it may wait as long as it takes. The claim and this script are both compare-and-set, so one of them comes first.
-- ARGV: prefix, limit. Returns {id, class, ticket or '', …} flat.
local deadlines, at, out = prefix .. ':queue_deadlines', now_ms(), {}
local ids = redis.call('ZRANGEBYSCORE', deadlines, '-inf', at, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
  redis.call('ZREM', deadlines, id)
  local job = redis.call('HMGET', job_key(id), 'state', 'class', 'ticket')
  if job[1] == 'pending' then
    transition(id, 'failed', at, '{"cause":"queue_timeout"}')
    redis.call('HSET', job_key(id), 'message', 'No machine had room for it within the time that it may wait.')
    leave_queues(id, job[2])
    count_job(id, -1, 0)
    finish(id, job[2], 'failed', 'queue_timeout', at)
    out[#out + 1] = id
    out[#out + 1] = job[2]
    out[#out + 1] = job[3] or ''
  end
end
return out
