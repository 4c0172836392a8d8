-- Shared by every script: what an end sets going. Whoever depends on the job that ended is judged: one condition less is open, or the dependant
-- is cancelled, which is an end again. So it goes on down the graph, one dependant after the other and never deeper: what is
-- still to be judged stands in a list, a script does so many, and the relay's sweep goes on with the rest. A chain of ten thousand jobs
-- holds Redis up no longer than a short one.
--
--   dependants:<id>  list: `<dependant> <condition>` of a job or an array that has not ended, or whose end is being judged
--   unmet            list: `<id> <state>` of what has ended and has dependants to be judged
--
-- A dependant may stand in lists where it no longer matters, as it was cancelled meanwhile: then it is passed over.

local JUDGED_AT_A_TIME = 50
local judged = 0
local judging = false

local function is_met(condition, state)
  return condition == 'finished' or condition == state
end

-- A pending job ends without having been started.
local function cancel_pending(id, class, cause, message, at)
  transition(id, 'cancelled', at, '{"cause":"' .. cause .. '"}')
  if message then redis.call('HSET', job_key(id), 'message', message) end
  leave_queues(id, class)
  count_job(id, -1, 0)
  finish(id, class, 'cancelled', cause, at)
end

local function to_unmet_message(parent, condition, state)
  return 'It was to run after ' .. parent .. (condition == 'failed' and ' had failed' or ' had completed') .. ', which ended as ' .. state .. '.'
end

-- Nothing holds a job back any more but, it may be, a person. From here on it waits for a machine, and its patience counts.
local function leave_dependencies(id, at)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'hold', 'queue_timeout_ms')
  redis.call('HDEL', key, 'after_left')
  if job[2] and job[1] then
    redis.call('HSET', key, 'queue_left', job[2])
  elseif job[2] then
    redis.call('HSET', key, 'queue_deadline', at + tonumber(job[2]))
    redis.call('ZADD', prefix .. ':queue_deadlines', at + tonumber(job[2]), id)
  end
  if not job[1] then to_backlog(id) end
  transition(id, 'ready', at, '{}')
end

local function judge_array(id, met, message, at)
  local key = array_key(id)
  local array = redis.call('HMGET', key, 'after_left', 'finished_at')
  if not array[1] or array[2] then return end
  if not met then
    redis.call('HDEL', key, 'after_left')
    redis.call('HSET', key, 'cause', 'dependency_failed', 'message', message)
    cancel_unexpanded(id, at)
  elseif redis.call('HINCRBY', key, 'after_left', -1) == 0 then
    redis.call('HDEL', key, 'after_left')
    redis.call('SADD', prefix .. ':arrays:ready', id)
  end
end

local function judge(id, condition, parent, state, at)
  local met, message = is_met(condition, state), to_unmet_message(parent, condition, state)
  local job = redis.call('HMGET', job_key(id), 'state', 'class')
  if not job[1] then return judge_array(id, met, message, at) end
  if job[1] ~= 'pending' then return end
  if not met then
    cancel_pending(id, job[2], 'dependency_failed', message, at)
  elseif redis.call('HINCRBY', job_key(id), 'after_left', -1) == 0 then
    leave_dependencies(id, at)
  end
end

-- Declared in transition.lua, where the ends are.
judge_dependants = function(at)
  if judging then return end
  judging = true
  while judged < JUDGED_AT_A_TIME do
    local parent, state = string.match(redis.call('LINDEX', prefix .. ':unmet', 0) or '', '^(%S+) (%S+)$')
    if not parent then break end
    local id, condition = string.match(redis.call('LPOP', prefix .. ':dependants:' .. parent) or '', '^(%S+) (%S+)$')
    if id then
      judged = judged + 1
      judge(id, condition, parent, state, at)
    else
      redis.call('LPOP', prefix .. ':unmet')
    end
  end
  judging = false
end

-- Cancels a pending job at once; records the wish for a running one and tells its workers. Twice is once.
-- Returns {'cancelled', class, ticket or ''}, {'requested'}, {'finished', state} or {'missing'}.
local function cancel_job(id, at)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'state', 'class', 'ticket', 'intent', 'engine')
  local state = job[1]
  if not state then return { 'missing' } end
  if state == 'pending' then
    redis.call('HSET', key, 'intent', 'cancel')
    cancel_pending(id, job[2], 'cancelled', nil, at)
    return { 'cancelled', job[2], job[3] or '' }
  end
  if state == 'running' then
    if job[4] ~= 'cancel' then
      redis.call('HSET', key, 'intent', 'cancel', 'changed_at', at)
      transition(id, 'cancel_requested', at, '{}')
    end
    redis.call('PUBLISH', prefix .. ':engine:' .. job[5], 'cancel ' .. id)
    return { 'requested' }
  end
  if state == 'cancelled' then return { 'cancelled', job[2], job[3] or '' } end
  return { 'finished', state }
end
