-- Takes jobs away from workers that stopped renewing. ARGV: prefix, margin in ms, max_restarts, limit. Returns their ids.
local at = now_ms()
local ids = redis.call('ZRANGEBYSCORE', prefix .. ':leases', '-inf', at - tonumber(ARGV[2]), 'LIMIT', 0, ARGV[4])
for _, id in ipairs(ids) do
  if redis.call('HGET', job_key(id), 'state') == 'running' then
    lose(id, at, ARGV[3])
  else
    redis.call('ZREM', prefix .. ':leases', id)
  end
end
return ids
