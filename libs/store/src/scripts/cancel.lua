-- Cancels a pending job at once; records the wish for a running one and tells its workers. Twice is once.
-- ARGV: prefix, id. Returns {'cancelled', class, dispatch}, {'requested'}, {'finished', state} or {'missing'}.
local id, key = ARGV[2], job_key(ARGV[2])
local job = redis.call('HMGET', key, 'state', 'class', 'dispatch', 'intent', 'engine')
local state = job[1]
if not state then return { 'missing' } end
local at = now_ms()
if state == 'pending' then
  redis.call('HSET', key, 'intent', 'cancel')
  transition(id, 'cancelled', at, '{"cause":"cancelled"}')
  leave_queues(id, job[2])
  finish(id, job[2], 'cancelled', 'cancelled', at)
  return { 'cancelled', job[2], job[3] or '0' }
end
if state == 'running' then
  if job[4] ~= 'cancel' then
    redis.call('HSET', key, 'intent', 'cancel', 'changed_at', at)
    transition(id, 'cancel_requested', at, '{}')
  end
  redis.call('PUBLISH', prefix .. ':engine:' .. job[5], 'cancel ' .. id)
  return { 'requested' }
end
if state == 'cancelled' then return { 'cancelled', job[2], job[3] or '0' } end
return { 'finished', state }
