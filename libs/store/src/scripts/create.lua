-- Shared by the scripts that make jobs: `accept` makes one, `expand` those of an array.

local function created_at_of(id)
  return redis.call('HGET', job_key(id), 'created_at') or redis.call('HGET', array_key(id), 'created_at')
    or redis.call('GET', prefix .. ':archived:' .. id)
end

-- What is there already: of this id, where the call is sent again because its answer was lost, or of the Idempotency-Key. Nil where there is nothing,
-- {'conflict'}, or {'replayed', id, created_at} of the job or array.
local function find_submission(id, idempotency, body)
  local sent_before = created_at_of(id)
  if sent_before then return { 'replayed', id, sent_before } end
  if idempotency == '' then return nil end
  local known_id, known_body = string.match(redis.call('GET', prefix .. ':idempotency:' .. idempotency) or '', '^(%S+) (%S+)$')
  local at = known_id and created_at_of(known_id)
  -- A key may outlive its job where jobs are kept for less than a day; then it is free again.
  if not at then return nil end
  return known_body == body and { 'replayed', known_id, at } or { 'conflict' }
end

-- {'over_quota', group, pending jobs, its limit} where one of the groups has no room for another pending job, or nil.
local function find_over_quota(class, bucket, shape)
  local _, _, _, extras = shape_parts(shape)
  for _, group in ipairs(groups_of(class, bucket, extras)) do
    local quota = quota_of(group)
    if quota and quota.max_pending then
      local pending = tonumber(redis.call('HGET', prefix .. ':tally', group .. '|pending') or 0)
      if pending + 1 > quota.max_pending then return { 'over_quota', group, pending, quota.max_pending } end
    end
  end
end

-- What the jobs and arrays that somebody wants to wait for have come to. `after`: job, condition, … flat, from place `first` on. Returns
-- {'no_dependency', place from 0} where one is not there, or is not this user's; otherwise which are open, and why the first that
-- can no longer be met cannot.
local function look_at_dependencies(user, after, first)
  local open, unmet = {}, nil
  for i = first, #after, 2 do
    local id, condition = after[i], after[i + 1]
    local job = redis.call('HMGET', job_key(id), 'state', 'user')
    local state, owner = job[1], job[2]
    if not state then
      local seen = look_at_array(id)
      state, owner = seen and seen.state, redis.call('HGET', array_key(id), 'user')
    end
    if not state then state, owner = string.match(redis.call('GET', prefix .. ':ended:' .. id) or '', '^(%S+) (.+)$') end
    if not state or owner ~= user then return { 'no_dependency', (i - first) / 2 } end
    if not TERMINAL[state] then
      open[#open + 1] = { id, condition }
    elseif not is_met(condition, state) then
      unmet = unmet or to_unmet_message(id, condition, state)
    end
  end
  return nil, open, unmet
end

local function wait_for_dependencies(id, key, open)
  for _, one in ipairs(open) do redis.call('RPUSH', prefix .. ':dependants:' .. one[1], id .. ' ' .. one[2]) end
  redis.call('HSET', key, 'after_left', #open)
end

-- The record of a new job, its indexes and its place. `job`: the fields of the record, name and labels (a=1\nb=2) for the indexes,
-- `request`, `bucket`, `queue_timeout_ms`, `array_id` and `array_index`, `keyed` (for how many seconds an Idempotency-Key stands for it) or '',
-- `hold`; `open` and `unmet`: its dependencies.
local function create_job(id, job, open, unmet)
  local key, class, at = job_key(id), job.class, now_ms()
  redis.call('HSET', key, 'state', 'pending', 'class', class, 'centicpus', job.centicpus, 'memory_mb', job.memory_mb,
    'gpus', job.gpus, 'priority', job.priority, 'format', job.format, 'created_at', job.created_at, 'attempt', 1,
    'events', 1, 'spec', job.spec, 'user', job.user, 'shape', job.shape)
  for _, field in ipairs({ 'bucket', 'request', 'array_id', 'array_index', 'requeued_from', 'keyed' }) do
    if job[field] and job[field] ~= '' then redis.call('HSET', key, field, job[field]) end
  end
  redis.call('ZADD', prefix .. ':jobs', 0, id)
  redis.call('ZADD', prefix .. ':jobs:state:pending', 0, id)
  if job.user ~= 'local' then redis.call('ZADD', prefix .. ':jobs:user:' .. job.user, 0, id) end
  if job.format ~= 'v1' then redis.call('ZADD', prefix .. ':jobs:format:' .. job.format, 0, id) end
  if job.name ~= '' then redis.call('ZADD', prefix .. ':jobs:name:' .. job.name, 0, id) end
  for label in string.gmatch(job.labels, '[^\n]+') do redis.call('ZADD', prefix .. ':jobs:label:' .. label, 0, id) end
  count_job(id, 1, 0)
  if job.hold then redis.call('HSET', key, 'hold', 1) end
  if #open > 0 then
    wait_for_dependencies(id, key, open)
    if job.queue_timeout_ms ~= '' then redis.call('HSET', key, 'queue_timeout_ms', job.queue_timeout_ms) end
  else
    if job.queue_timeout_ms ~= '' and job.hold then
      redis.call('HSET', key, 'queue_left', job.queue_timeout_ms)
    elseif job.queue_timeout_ms ~= '' then
      local deadline = at + tonumber(job.queue_timeout_ms)
      redis.call('HSET', key, 'queue_deadline', deadline)
      redis.call('ZADD', prefix .. ':queue_deadlines', deadline, id)
    end
    if not job.hold and not unmet then to_backlog(id) end
  end
  announce(id, class, 1, 'submitted', 'pending', job.created_at, '{}', job.array_id)
  redis.call('HINCRBY', prefix .. ':counters', 'submitted|' .. class, 1)
  if unmet then cancel_pending(id, class, 'dependency_failed', unmet, at) end
end
