-- Jobs that ended some time ago and whose last output still stands in the stream. Each is named to one caller at a time: it is due again after
-- the same time, in case that caller has died. What has no stream any more is left out for good.
-- ARGV: prefix, for how long they have ended in ms, most. Returns ids.
local at = now_ms()
local ids = redis.call('ZRANGEBYSCORE', prefix .. ':unsealed', '-inf', at - tonumber(ARGV[2]), 'LIMIT', 0, ARGV[3])
local due = {}
for _, id in ipairs(ids) do
  if redis.call('EXISTS', job_key(id) .. ':log') == 1 then
    redis.call('ZADD', prefix .. ':unsealed', at, id)
    due[#due + 1] = id
  else
    redis.call('ZREM', prefix .. ':unsealed', id)
  end
end
return due
