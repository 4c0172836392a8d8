-- Shared by the scripts of uploads: what is kept of one, and who needs it.
--
--   file:<user>:<sha256>       hash: object, bytes, name, created_at, used_at; `removing` while it is being removed
--   file:<user>:<sha256>:jobs  zset by time: jobs and arrays that were submitted with it. Those that have ended are dropped when they are come by
--   files:user:<user>          zset of equal scores: `<created_at>:<sha256>`, so lexical order is time order
--   files                      zset by used_at: `<sha256>:<user>`
--   file_bytes                 hash by user: bytes of all uploads

local FILE_FIELDS = { 'object', 'bytes', 'name', 'created_at', 'used_at', 'removing' }
local LOOKED_AT_A_TIME = 1000

local function file_key(user, sha256) return prefix .. ':file:' .. user .. ':' .. sha256 end

local function place_in_list(created_at, sha256) return string.format('%013.0f:%s', tonumber(created_at), sha256) end

local function touch_file(user, sha256, at)
  redis.call('HSET', file_key(user, sha256), 'used_at', at)
  redis.call('ZADD', prefix .. ':files', at, sha256 .. ':' .. user)
end

local function is_over(id)
  local state = redis.call('HGET', job_key(id), 'state')
  if state then return TERMINAL[state] end
  local array = redis.call('HMGET', array_key(id), 'created_at', 'finished_at')
  return not array[1] or array[2]
end

-- Drops those of these jobs and arrays that have ended. Returns whether one has not.
local function drop_over(key, ids)
  for _, id in ipairs(ids) do
    if not is_over(id) then return true end
    redis.call('ZREM', key, id)
  end
  return false
end

-- Each that comes looks at a few that came before it, here and there, so that what has ended does not pile up.
local function need_file(user, sha256, id, at)
  local key = file_key(user, sha256) .. ':jobs'
  local count = redis.call('ZCARD', key)
  for _, step in ipairs(count > 0 and { 0, 1, 7 } or {}) do
    local rank = (at * step) % count
    drop_over(key, redis.call('ZRANGE', key, rank, rank))
  end
  redis.call('ZADD', key, at, id)
end

-- True, false, or nil where only more looks can tell.
local function is_needed(user, sha256)
  local key = file_key(user, sha256) .. ':jobs'
  local ids = redis.call('ZRANGE', key, 0, LOOKED_AT_A_TIME - 1)
  if drop_over(key, ids) then return true end
  if #ids == LOOKED_AT_A_TIME then return nil end
  return false
end

local function forget_file(user, sha256, file)
  local key = file_key(user, sha256)
  redis.call('DEL', key, key .. ':jobs')
  redis.call('ZREM', prefix .. ':files', sha256 .. ':' .. user)
  redis.call('ZREM', prefix .. ':files:user:' .. user, place_in_list(file[4], sha256))
  if redis.call('HINCRBY', prefix .. ':file_bytes', user, -file[2]) == 0 then redis.call('HDEL', prefix .. ':file_bytes', user) end
end

-- Which of these files (from place `first` on) are not there or on their way out; where none is, all are in use from now on, and needed
-- by the job or array `id`, if one is given, until that has ended.
local function take_files(user, id, files, first)
  local missing, at = {}, now_ms()
  for i = first, #files do
    local file = redis.call('HMGET', file_key(user, files[i]), 'object', 'removing')
    if not file[1] or file[2] then missing[#missing + 1] = files[i] end
  end
  for i = first, #missing == 0 and #files or 0 do
    touch_file(user, files[i], at)
    if id then need_file(user, files[i], id, at) end
  end
  return missing
end

-- Takes what a job or array with this spec takes in, in the step that makes it or runs it again: whoever is refused has taken nothing.
-- Returns {'no_input', the files that are missing}, or nil.
local function take_inputs(user, id, spec)
  if not string.find(spec, '"inputs":[', 1, true) then return nil end
  local files, seen = {}, {}
  for _, input in ipairs(cjson.decode(spec).inputs or {}) do
    if not seen[input.file_id] then files[#files + 1] = input.file_id end
    seen[input.file_id] = true
  end
  local missing = take_files(user, id, files, 1)
  if #missing > 0 then return { 'no_input', unpack(missing) } end
end
