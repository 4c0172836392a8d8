-- Releases a job from its hold: it goes on where it was, as one that waits for other jobs, for its back-off or for a machine. Twice is once.
-- ARGV: prefix, id. Returns {'unheld', class}, {'refused', state} where it is not pending, or {'missing'}.
local id, key = ARGV[2], job_key(ARGV[2])
local job = redis.call('HMGET', key, 'state', 'class', 'hold', 'held_due_at', 'queue_left', 'after_left')
if not job[1] then return { 'missing' } end
if job[1] ~= 'pending' then return { 'refused', job[1] } end
if not job[3] then return { 'unheld', job[2] } end
local at = now_ms()
redis.call('HDEL', key, 'hold', 'held_due_at', 'queue_left')
transition(id, 'unheld', at, '{}')
if job[5] then
  redis.call('HSET', key, 'queue_deadline', at + tonumber(job[5]))
  redis.call('ZADD', prefix .. ':queue_deadlines', at + tonumber(job[5]), id)
end
if tonumber(job[6] or 0) > 0 then return { 'unheld', job[2] } end
if job[4] and tonumber(job[4]) > at then
  redis.call('HSET', key, 'due_at', job[4])
  redis.call('ZADD', prefix .. ':due', job[4], id)
else
  to_backlog(id)
end
return { 'unheld', job[2] }
