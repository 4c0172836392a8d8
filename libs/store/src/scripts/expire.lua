-- Takes jobs away from workers that stopped renewing. ARGV: prefix, margin in ms, max_restarts, limit. Returns their ids.
local at = now_ms()
local ids = redis.call('ZRANGEBYSCORE', prefix .. ':leases', '-inf', at - tonumber(ARGV[2]), 'LIMIT', 0, ARGV[4])
for _, id in ipairs(ids) do
  local job = redis.call('HMGET', job_key(id), 'state', 'epoch', 'attempt', 'node', 'started_at', 'image_digest')
  if job[1] == 'running' then
    -- An epoch that did not start has no digest of its own; what stands in the record is from the one before.
    local digest = job[5] and job[6] and cjson.encode(job[6]) or 'null'
    settle(id, 'lost', at, {
      epoch = job[2], attempt = job[3], cause = 'node_lost', exit_code = '', message = '', delay_ms = 0,
      max_restarts = tonumber(ARGV[3]),
      entry = '{"attempt":' .. job[3] .. ',"epoch":' .. job[2] .. ',"node":' .. cjson.encode(job[4])
        .. ',"image_digest":' .. digest .. ',"started_at":' .. (job[5] or 'null') .. ',"exit_code":null',
    })
  else
    redis.call('ZREM', prefix .. ':leases', id)
  end
end
return ids
