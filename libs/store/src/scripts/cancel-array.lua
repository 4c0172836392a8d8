-- Cancels an array: what is not a job yet at once, its jobs so many at a time. The first call notes which jobs live; whoever
-- cancels calls again until none is left, and the relay's sweep does so for one that died in between. Twice is once.
-- ARGV: prefix, array, limit, `begin` or `go on`.
-- Returns {'missing'}, {'finished', state}, or {'cancelled', how many jobs are left to cancel, class, ticket, …} with the tickets of those
-- that were pending.
local id, at = ARGV[2], now_ms()
local key, seen = array_key(id), look_at_array(id)
local left = key .. ':cancelling'
if not seen then return { 'missing' } end
local out = { 'cancelled', 0, redis.call('HGET', key, 'class') }
if ARGV[4] == 'begin' then
  if seen.ended then return seen.state == 'cancelled' and out or { 'finished', seen.state } end
  redis.call('ZUNIONSTORE', left, 1, key .. ':live')
  redis.call('SADD', prefix .. ':arrays:cancelling', id)
  cancel_unexpanded(id, at)
end
local popped = redis.call('ZPOPMIN', left, ARGV[3])
for i = 1, #popped, 2 do
  local reply = cancel_job(popped[i], at)
  if reply[1] == 'cancelled' and reply[3] ~= '' then out[#out + 1] = reply[3] end
end
judge_dependants(at)
out[2] = redis.call('ZCARD', left)
if out[2] == 0 then redis.call('SREM', prefix .. ':arrays:cancelling', id) end
return out
