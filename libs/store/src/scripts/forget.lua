-- Removes finished jobs and every trace of them from the indexes; jobs that have not finished, or are gone, are passed over.
-- `archived`: they are kept elsewhere, and the caller has made sure of it. Then an array still knows which job an index has been, an
-- Idempotency-Key still stands for its job, and the newest job that was ever archived is noted: a reader of what is newer need not look there.
-- ARGV: prefix, `archived` or `gone`, for how many seconds more a kept format's log of an archived job stays, then ids. Returns how many.
local archived, removed = ARGV[2] == 'archived', 0
-- So long a submission whose answer was lost may be sent again, also one without a key.
local SENT_AGAIN_S = 600

local function leave_array(id, array, index)
  if array and redis.call('HGET', array_key(array) .. ':jobs', index) == id then
    redis.call('HDEL', array_key(array) .. ':jobs', index)
  end
end

local function note_archived(id, created_at, keyed_s)
  note_newest_archived(id)
  local left_s = math.ceil(created_at / 1000) + (keyed_s or SENT_AGAIN_S) - math.floor(now_ms() / 1000)
  if left_s > 0 then redis.call('SET', prefix .. ':archived:' .. id, created_at, 'EX', left_s) end
end

local function forget(id)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'state', 'spec', 'format', 'user', 'array_id', 'array_index', 'created_at', 'keyed')
  redis.call('ZREM', prefix .. ':jobs', id)
  redis.call('ZREM', prefix .. ':unsealed', id)
  if job[1] then
    redis.call('ZREM', prefix .. ':jobs:state:' .. job[1], id)
    redis.call('ZREM', prefix .. ':jobs:format:' .. job[3], id)
    redis.call('ZREM', prefix .. ':jobs:user:' .. (job[4] or 'local'), id)
    local spec = cjson.decode(job[2])
    if spec.name then redis.call('ZREM', prefix .. ':jobs:name:' .. spec.name, id) end
    for label, value in pairs(spec.labels or {}) do redis.call('ZREM', prefix .. ':jobs:label:' .. label .. '=' .. value, id) end
  end
  if not archived then
    leave_array(id, job[5], job[6])
  elseif job[7] then
    note_archived(id, job[7], tonumber(job[8]))
  end
  redis.call('DEL', key, key .. ':events', key .. ':segments', key .. ':log')
  -- Clients of the format that it belongs to read this list themselves.
  if archived then redis.call('EXPIRE', 'job_logs:' .. id, ARGV[3]) else redis.call('DEL', 'job_logs:' .. id) end
end

for i = 4, #ARGV do
  if redis.call('ZREM', prefix .. ':finished', ARGV[i]) == 1 then
    forget(ARGV[i])
    removed = removed + 1
  end
end
return removed
