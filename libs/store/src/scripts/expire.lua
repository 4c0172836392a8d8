-- Takes jobs away from workers that stopped renewing. The asker has judged the broker by its answers up to a certain time. A call that
-- was on its way when the broker stood still runs before every renewal that waits behind it, so one that comes much later does nothing.
-- ARGV: prefix, margin in ms, max_restarts, limit, judged at (the broker's time in ms), its use in ms. Returns their ids.
local at = now_ms()
if at - tonumber(ARGV[5]) > tonumber(ARGV[6]) then return {} end
local ids = redis.call('ZRANGEBYSCORE', prefix .. ':leases', '-inf', at - tonumber(ARGV[2]), 'LIMIT', 0, ARGV[4])
for _, id in ipairs(ids) do
  if redis.call('HGET', job_key(id), 'state') == 'running' then
    lose(id, at, ARGV[3])
  else
    redis.call('ZREM', prefix .. ':leases', id)
  end
end
return ids
