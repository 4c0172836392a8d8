-- Renews the leases that a worker holds and tells it what was asked of each job meanwhile.
-- ARGV: prefix, owner, lease in ms, then id, epoch, id, epoch, … Returns for each 'held', 'cancel', 'moved' (another worker has it, under
-- the same epoch: its container is none of ours any more) or 'over' (the epoch has ended, and its container should not run).
local owner, until_ms, out = ARGV[2], now_ms() + tonumber(ARGV[3]), {}
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  local job = redis.call('HMGET', job_key(id), 'state', 'epoch', 'intent', 'owner')
  if is_held(job[1], job[2], job[4], ARGV[i + 1], owner) then
    redis.call('ZADD', prefix .. ':leases', until_ms, id)
    out[#out + 1] = job[3] == 'cancel' and 'cancel' or 'held'
  else
    out[#out + 1] = (job[1] == 'running' and job[2] == ARGV[i + 1]) and 'moved' or 'over'
  end
end
return out
