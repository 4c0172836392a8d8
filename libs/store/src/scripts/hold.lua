-- Keeps a pending job back until someone releases it. Twice is once. Meanwhile it is in no queue, and neither its back-off nor the time that
-- it may wait for a machine is lost: the first goes on, of the second what is left is kept.
-- ARGV: prefix, id. Returns {'held', class, ticket or ''}, {'refused', state} where it is not pending, or {'missing'}.
local id, key = ARGV[2], job_key(ARGV[2])
local job = redis.call('HMGET', key, 'state', 'class', 'ticket', 'hold', 'due_at')
if not job[1] then return { 'missing' } end
if job[1] ~= 'pending' then return { 'refused', job[1] } end
if job[4] then return { 'held', job[2], '' } end
local at, deadline = now_ms(), redis.call('ZSCORE', prefix .. ':queue_deadlines', id)
leave_queues(id, job[2])
redis.call('HSET', key, 'hold', 1)
if job[5] then redis.call('HSET', key, 'held_due_at', job[5]) end
if deadline then redis.call('HSET', key, 'queue_left', math.max(0, tonumber(deadline) - at)) end
transition(id, 'held', at, '{}')
return { 'held', job[2], job[3] or '' }
