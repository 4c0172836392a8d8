-- Removes finished jobs and every trace of them from the indexes. ARGV: prefix, finished before (ms), limit. Returns how many.
local ids = redis.call('ZRANGEBYSCORE', prefix .. ':finished', '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'state', 'spec', 'format', 'user', 'array_id', 'array_index')
  redis.call('ZREM', prefix .. ':jobs', id)
  redis.call('ZREM', prefix .. ':finished', id)
  if job[1] then
    redis.call('ZREM', prefix .. ':jobs:state:' .. job[1], id)
    redis.call('ZREM', prefix .. ':jobs:format:' .. job[3], id)
    redis.call('ZREM', prefix .. ':jobs:user:' .. (job[4] or 'local'), id)
    local spec = cjson.decode(job[2])
    if spec.name then redis.call('ZREM', prefix .. ':jobs:name:' .. spec.name, id) end
    for label, value in pairs(spec.labels or {}) do redis.call('ZREM', prefix .. ':jobs:label:' .. label .. '=' .. value, id) end
  end
  if job[5] and redis.call('HGET', array_key(job[5]) .. ':jobs', job[6]) == id then
    redis.call('HDEL', array_key(job[5]) .. ':jobs', job[6])
  end
  redis.call('DEL', key, key .. ':events', key .. ':log', 'job_logs:' .. id)
end
return #ids
