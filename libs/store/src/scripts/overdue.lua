-- Jobs dispatched longer ago than the given time, each looked at once per call: its score is set to now.
-- ARGV: prefix, class, age in ms, limit. Returns {id, ticket, …} flat.
local dispatched, at, out = prefix .. ':dispatched:' .. ARGV[2], now_ms(), {}
local ids = redis.call('ZRANGEBYSCORE', dispatched, '-inf', at - tonumber(ARGV[3]), 'LIMIT', 0, ARGV[4])
for _, id in ipairs(ids) do
  redis.call('ZADD', dispatched, at, id)
  out[#out + 1] = id
  out[#out + 1] = redis.call('HGET', job_key(id), 'ticket')
end
return out
