-- Records why a worker is about to end its container, before the first signal: whoever finds it dead then knows. The first intent
-- stands. ARGV: prefix, id, epoch, owner, intent. Returns the recorded intent, or 'stale'.
local key = job_key(ARGV[2])
local job = redis.call('HMGET', key, 'state', 'epoch', 'owner', 'intent')
if not is_held(job[1], job[2], job[3], ARGV[3], ARGV[4]) then return 'stale' end
if not job[4] then redis.call('HSET', key, 'intent', ARGV[5]) end
return job[4] or ARGV[5]
