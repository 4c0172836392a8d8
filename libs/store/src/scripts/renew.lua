-- Renews the leases that a worker holds and tells it what was asked of each job meanwhile.
-- ARGV: prefix, lease in ms, then id, epoch, id, epoch, … Returns 'held', 'cancel' or 'lost' for each.
local until_ms, out = now_ms() + tonumber(ARGV[2]), {}
for i = 3, #ARGV, 2 do
  local id = ARGV[i]
  local job = redis.call('HMGET', job_key(id), 'state', 'epoch', 'intent')
  if job[1] ~= 'running' or job[2] ~= ARGV[i + 1] then
    out[#out + 1] = 'lost'
  else
    redis.call('ZADD', prefix .. ':leases', until_ms, id)
    out[#out + 1] = job[3] == 'cancel' and 'cancel' or 'held'
  end
end
return out
