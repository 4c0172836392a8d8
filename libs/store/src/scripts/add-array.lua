-- Accepts an array: one record, whatever its size. Its jobs come to be later, a window at a time (see expand.lua).
-- ARGV: prefix, id, created_at, class, centicpus, memory_mb, gpus, priority, spec of each job, name, labels (a=1\nb=2), idempotency hash,
--       body hash, key lifetime in s, how long each job may be pending in ms, or nothing, user, shape, `*` where the class orders priority
--       across users, size, max_running or nothing, window, how many dependencies, job and condition of each, the values as a JSON list.
-- Returns {'accepted', how many dependencies are open}, {'cancelled'}, {'replayed', id, created_at}, {'conflict'}, {'no_dependency', its
-- place}, {'no_input', the files that are missing} or {'over_quota', group, pending jobs, its limit}.
local id, class, user, shape, bucket = ARGV[2], ARGV[4], ARGV[16], ARGV[17], ARGV[18]
local key, at = array_key(id), now_ms()
local refusal = find_submission(id, ARGV[12], ARGV[13]) or find_over_quota(class, bucket ~= '' and bucket or user, shape)
if refusal then return refusal end
local after_end = 22 + 2 * tonumber(ARGV[22])
local after = {}
for i = 23, after_end do after[#after + 1] = ARGV[i] end
local missing, open, unmet = look_at_dependencies(user, after, 1)
missing = missing or take_inputs(user, id, ARGV[9])
if missing then return missing end

if ARGV[12] ~= '' then
  redis.call('SET', prefix .. ':idempotency:' .. ARGV[12], id .. ' ' .. ARGV[13], 'EX', ARGV[14])
end
redis.call('HSET', key, 'created_at', ARGV[3], 'class', class, 'centicpus', ARGV[5], 'memory_mb', ARGV[6], 'gpus', ARGV[7],
  'priority', ARGV[8], 'spec', ARGV[9], 'name', ARGV[10], 'labels', ARGV[11], 'queue_timeout_ms', ARGV[15], 'user', user,
  'shape', shape, 'bucket', bucket, 'size', ARGV[19], 'max_running', ARGV[20], 'window', ARGV[21],
  'next', 0, 'again', 0, 'pending', 0, 'running', 0, 'completed', 0, 'failed', 0, 'cancelled', 0)
local values = cjson.decode(ARGV[after_end + 1])
for i, value in ipairs(values) do values[i] = cjson.encode(value) end
for i = 1, #values, 500 do
  redis.call('RPUSH', key .. ':values', unpack(values, i, math.min(i + 499, #values)))
end
redis.call('ZADD', prefix .. ':arrays', 0, id)
if user ~= 'local' then redis.call('ZADD', prefix .. ':arrays:user:' .. user, 0, id) end
if ARGV[20] ~= '' then
  redis.call('HSET', prefix .. ':quotas', 'array/' .. id, '{"max_running":' .. ARGV[20] .. '}')
end
if unmet then
  redis.call('HSET', key, 'cause', 'dependency_failed', 'message', unmet)
  cancel_unexpanded(id, at)
  return { 'cancelled' }
end
if #open > 0 then
  wait_for_dependencies(id, key, open)
else
  redis.call('SADD', prefix .. ':arrays:ready', id)
end
return { 'accepted', #open }
