-- Makes jobs of the next indices of an array, as far as its window and its user's quota of pending jobs go: those to be run again first.
-- An index is taken and its job made in one step, so whoever else expands the same array gets other indices, and whoever dies has
-- lost none. A call whose connection broke is sent again, with the same ids: then it has been done. All jobs of an array are as old as the array: its last index waits no longer than its first did for what came later.
-- ARGV: prefix, array, then ids for new jobs, as many as may be made at most.
-- Returns {how many were made, 1 where there may be room for more now}.
local array, ids = ARGV[2], #ARGV - 2
local key, ready = array_key(array), prefix .. ':arrays:ready'
if redis.call('EXISTS', job_key(ARGV[3])) == 1 then return { 0, 1 } end
local seen = look_at_array(array)
if not seen or seen.todo == 0 or redis.call('HEXISTS', key, 'after_left') == 1 then
  redis.call('SREM', ready, array)
  return { 0, 0 }
end
local fields = { 'created_at', 'class', 'centicpus', 'memory_mb', 'gpus', 'priority', 'spec', 'name', 'labels', 'queue_timeout_ms', 'user',
  'shape', 'bucket' }
local job = { format = 'v1', request = '', array_id = array }
for i, value in ipairs(redis.call('HMGET', key, unpack(fields))) do job[fields[i]] = value end
local spec = string.sub(job.spec, 1, -2)
job.created_at = tonumber(job.created_at)

local function take_index()
  if seen.again > 0 then
    local index = redis.call('BITPOS', key .. ':again', 1)
    redis.call('SETBIT', key .. ':again', index, 0)
    seen.again = redis.call('HINCRBY', key, 'again', -1)
    return index
  end
  return redis.call('HINCRBY', key, 'next', 1) - 1
end

local room = math.max(0, math.min(seen.window - seen.pending, seen.todo))
local made, held_back = 0, false
while made < math.min(room, ids) and not held_back do
  held_back = find_over_quota(job.class, job.bucket ~= '' and job.bucket or job.user, job.shape)
  if not held_back then
    made = made + 1
    local id, index = ARGV[2 + made], take_index()
    local value = redis.call('LINDEX', key .. ':values', index)
    job.array_index = index
    job.spec = spec .. ',"array_task":{"array_id":"' .. array .. '","index":' .. index .. ',"size":' .. seen.size
      .. (value and ',"value":' .. value or '') .. '}}'
    redis.call('HINCRBY', key, 'pending', 1)
    redis.call('ZADD', key .. ':live', index, id)
    redis.call('HSET', key .. ':jobs', index, id)
    create_job(id, job, {}, nil)
  end
end
if seen.again == 0 then redis.call('DEL', key .. ':again') end
if made == room then redis.call('SREM', ready, array) end
return { made, (made < room and not held_back) and 1 or 0 }
