-- Shared by every script: names and time. ARGV[1] is always the key prefix; names are built as in keys.ts (one Redis, not a cluster).
-- Time is the broker's.

local prefix = ARGV[1]

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function job_key(id) return prefix .. ':job:' .. id end

-- That a job is in the archive, for readers that ask whether what they look for can be there. Only ever a newer one.
local function note_newest_archived(id)
  local key = prefix .. ':archived:newest'
  if id > (redis.call('GET', key) or '') then redis.call('SET', key, id) end
end

-- The parts of a shape, with its extras: g (GPUs), s (labels), r, d (places), q (groups). See toShapeText in placement.ts.
local function shape_parts(shape)
  local centicpus, memory_mb, timeout, extras = string.match(shape, '^(%d+),(%d+),(%d+),?(.*)$')
  return tonumber(centicpus), tonumber(memory_mb), tonumber(timeout), extras ~= '' and cjson.decode(extras) or nil
end

-- Whether the broker is known to have gone back to an older state: it was restored from a copy or emptied, or has lost its last writes. It counts
-- the workers' signs of life, so a caller who has seen more of them than there are knows, and the first such call notes it for all.
-- While the note is there nothing begins: what ended since that state looks as if it had yet to run, and only a person can tell. A person
-- takes it away. The count is raised to what was seen, or the same memory would bring the note back. `seen` may be older than the last
-- answer, so calls that cross or come twice raise no alarm. Returns the time of the note in Unix ms, or false.
local function went_back(seen)
  if tonumber(redis.call('GET', prefix .. ':beats') or 0) < tonumber(seen) then
    redis.call('SET', prefix .. ':beats', seen)
    redis.call('SET', prefix .. ':went_back', now_ms())
  end
  return redis.call('GET', prefix .. ':went_back')
end
