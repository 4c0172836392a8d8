-- Takes from a class's backlog what fits into its window in BullMQ, and issues a ticket for each: a message that whoever calls adds.
-- Should the caller die in between, the sweeper finds these jobs dispatched without a message and puts them back.
-- ARGV: prefix, class, window, at most. Returns {id, ticket, priority, spec, …} flat.
local class = ARGV[2]
local dispatched = prefix .. ':dispatched:' .. class
local room = math.min(tonumber(ARGV[3]) - redis.call('ZCARD', dispatched), tonumber(ARGV[4]))
if room <= 0 then return {} end
local popped = redis.call('ZPOPMIN', prefix .. ':backlog:' .. class, room)
local at, out = now_ms(), {}
for i = 1, #popped, 2 do
  local id = popped[i]
  local ticket = id .. '-' .. redis.call('HINCRBY', job_key(id), 'dispatch', 1)
  redis.call('ZADD', dispatched, at, id)
  redis.call('HSET', job_key(id), 'ticket', ticket)
  redis.call('HSET', prefix .. ':tickets:' .. class, ticket, id)
  local job = redis.call('HMGET', job_key(id), 'priority', 'spec')
  out[#out + 1] = id
  out[#out + 1] = ticket
  out[#out + 1] = job[1]
  out[#out + 1] = job[2]
end
return out
