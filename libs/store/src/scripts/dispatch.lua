-- Takes from a class's backlog what fits into its window in BullMQ. The best jobs go first; whoever calls adds the messages.
-- Should the caller die in between, the sweeper finds these jobs dispatched without a message and puts them back.
-- ARGV: prefix, class, window, at most. Returns {id, dispatch, priority, spec, …} flat.
local class = ARGV[2]
local dispatched = prefix .. ':dispatched:' .. class
local room = math.min(tonumber(ARGV[3]) - redis.call('ZCARD', dispatched), tonumber(ARGV[4]))
if room <= 0 then return {} end
local popped = redis.call('ZPOPMIN', prefix .. ':backlog:' .. class, room)
local at, out = now_ms(), {}
for i = 1, #popped, 2 do
  local id = popped[i]
  redis.call('ZADD', dispatched, at, id)
  local dispatch = redis.call('HINCRBY', job_key(id), 'dispatch', 1)
  local job = redis.call('HMGET', job_key(id), 'priority', 'spec')
  out[#out + 1] = id
  out[#out + 1] = dispatch
  out[#out + 1] = job[1]
  out[#out + 1] = job[2]
end
return out
