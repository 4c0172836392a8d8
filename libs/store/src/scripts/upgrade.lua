-- Gives a job of a version that knew no users and shapes what the scripts need of it now, and puts it where it waits or is counted. Twice is
-- once. ARGV: prefix, id, user, shape. Returns 1 where there was something to do.
local id, key = ARGV[2], job_key(ARGV[2])
local job = redis.call('HMGET', key, 'state', 'shape', 'due_at', 'started_at')
if not job[1] or job[2] then return 0 end
redis.call('HSET', key, 'user', ARGV[3], 'shape', ARGV[4])
if job[1] == 'running' then
  redis.call('HSET', key, 'claimed_at', job[4] or now_ms(), 'share', 0, 'charged', 0)
  count_job(id, 0, 1)
elseif job[1] == 'pending' then
  count_job(id, 1, 0)
  if not job[3] then to_backlog(id) end
end
return 1
