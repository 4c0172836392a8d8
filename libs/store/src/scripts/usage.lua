-- Notes what running jobs have used so far, one sample each in place of the one before, as far as the worker owns them still.
-- ARGV: prefix, owner, then id, epoch, JSON of the usage, id, epoch, … Returns how many were noted.
local owner, count = ARGV[2], 0
for i = 3, #ARGV, 3 do
  local job = redis.call('HMGET', job_key(ARGV[i]), 'state', 'epoch', 'owner')
  if is_held(job[1], job[2], job[3], ARGV[i + 1], owner) then
    redis.call('HSET', job_key(ARGV[i]), 'usage', ARGV[i + 2])
    count = count + 1
  end
end
return count
