-- A worker that shuts down lets its running jobs go: their containers run on, and any worker of the engine may adopt them at once. The
-- lease is drawn out, so that workers of other machines leave them alone for as long as a restart or an upgrade takes.
-- ARGV: prefix, owner, engine, for how long in ms, then id, epoch, id, epoch, … Returns how many it let go.
local until_ms, count = now_ms() + tonumber(ARGV[4]), 0
for i = 5, #ARGV, 2 do
  local id = ARGV[i]
  local job = redis.call('HMGET', job_key(id), 'state', 'epoch', 'owner')
  if is_held(job[1], job[2], job[3], ARGV[i + 1], ARGV[2]) then
    redis.call('HDEL', job_key(id), 'owner')
    redis.call('ZADD', prefix .. ':leases', until_ms, id)
    count = count + 1
  end
end
redis.call('ZREM', prefix .. ':engine:' .. ARGV[3] .. ':alive', ARGV[2])
redis.call('PUBLISH', prefix .. ':engine:' .. ARGV[3], 'orphans')
return count
