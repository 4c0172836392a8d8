-- Shared by every script that changes a job: it is put in front of each of them.
--
-- A change of state is one compare-and-set: look up the edge, set the fields, move the job between the state indexes, append the
-- event to the job's history and to the stream of all events. Redis runs a script alone, so no reader sees half of it, and of two
-- callers that want different ends exactly one finds the edge. A terminal state has no edges: it absorbs everything.

local EDGES = {
  submitted = {},
  claimed = { pending = 'running' },
  started = { running = 'running' },
  adopted = { running = 'running' },
  cancel_requested = { running = 'running' },
  completed = { running = 'completed' },
  failed = { pending = 'failed', running = 'failed' },
  cancelled = { pending = 'cancelled', running = 'cancelled' },
  retried = { running = 'pending' },
  released = { running = 'pending' },
  lost = { running = 'pending' },
  held = { pending = 'pending' },
  unheld = { pending = 'pending' },
  reprioritized = { pending = 'pending' },
  ready = { pending = 'pending' },
}

-- Causes of an end that is the job's own: how long it ran says how long such jobs run.
local OWN_ENDS = { [''] = true, exit_code = true, timeout = true, out_of_memory = true }

local TERMINAL = { completed = true, failed = true, cancelled = true }

-- To the stream of all events, field by field: numbers are small there. `data` is a JSON object as text, `array` false for most jobs.
local function announce(id, class, seq, type, state, at, data, array)
  redis.call('XADD', prefix .. ':events', 'MAXLEN', '~', 20000, '*',
    'job', id, 'class', class, 'seq', seq, 'type', type, 'at', at, 'state', state, 'data', data, unpack(array and { 'array', array } or {}))
end

-- A job's first event, `submitted`, says nothing that is not in its record. So the kept history begins with the second, and a
-- pending job costs one key: `readHistory` puts the first in front.
local function append_event(id, class, type, state, at, data, array)
  local key = job_key(id)
  local seq = redis.call('HINCRBY', key, 'events', 1)
  redis.call('RPUSH', key .. ':events',
    '{"seq":' .. seq .. ',"type":"' .. type .. '","at":' .. at .. ',"state":"' .. state .. '","data":' .. data .. '}')
  announce(id, class, seq, type, state, at, data, array)
end

-- Returns the new state, or nil and the present state (false where there is no such job).
local function transition(id, type, at, data)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'state', 'class', 'array_id', 'array_index')
  local from = job[1]
  local to = from and EDGES[type] and EDGES[type][from]
  if not to then return nil, from end
  if from ~= to then
    redis.call('HSET', key, 'state', to, 'changed_at', at)
    redis.call('ZREM', prefix .. ':jobs:state:' .. from, id)
    redis.call('ZADD', prefix .. ':jobs:state:' .. to, 0, id)
    if job[3] then move_in_array(job[3], job[4], id, from, to, at) end
  end
  append_event(id, job[2], type, to, at, data, job[3])
  return to
end

-- Who may write of a running job: the worker that owns its present epoch, and nobody else.
local function is_held(job_state, job_epoch, job_owner, epoch, owner)
  return job_state == 'running' and job_epoch == epoch and job_owner == owner
end

-- Whether another worker of the engine may take a running job over: its owner let it go, or has given no sign of life for
-- `silent_ms`, or no longer renews. To be wrong is harmless: the container is not touched, and the old owner's writes are refused.
local function is_adoptable(id, owner, engine, at, silent_ms)
  if not owner then return true end
  local seen = tonumber(redis.call('ZSCORE', prefix .. ':engine:' .. engine .. ':alive', owner) or 0)
  local lease = tonumber(redis.call('ZSCORE', prefix .. ':leases', id) or 0)
  return at - seen > silent_ms or lease < at
end

local function add_reserved(engine, sign, centicpus, memory_mb)
  local key = prefix .. ':engine:' .. engine .. ':reserved'
  redis.call('HINCRBY', key, 'centicpus', string.format('%d', sign * centicpus))
  redis.call('HINCRBY', key, 'memory_mb', string.format('%d', sign * memory_mb))
end

local function observe(name, class, milliseconds)
  local counters = prefix .. ':counters'
  local bounds = { @BUCKET_BOUNDS_MS@ }
  for _, bound in ipairs(bounds) do
    if milliseconds <= bound then
      redis.call('HINCRBY', counters, name .. '|' .. class .. '|' .. bound, 1)
      break
    end
  end
  redis.call('HINCRBY', counters, name .. '|' .. class .. '|sum', milliseconds)
  redis.call('HINCRBY', counters, name .. '|' .. class .. '|count', 1)
end

-- What an end means to those that depend on the job: see ends.lua.
local judge_dependants

local function finish(id, class, state, cause, at)
  redis.call('HSET', job_key(id), 'finished_at', at, 'cause', cause)
  redis.call('ZADD', prefix .. ':finished', at, id)
  if redis.call('EXISTS', job_key(id) .. ':log') == 1 then redis.call('ZADD', prefix .. ':unsealed', at, id) end
  redis.call('HINCRBY', prefix .. ':counters', 'finished|' .. class .. '|' .. state .. '|' .. cause, 1)
  if redis.call('EXISTS', prefix .. ':dependants:' .. id) == 1 then
    redis.call('RPUSH', prefix .. ':unmet', id .. ' ' .. state)
  end
  judge_dependants(at)
end

-- Ends the present epoch of a running job with an event that leads on (see job.ts): gives back what it reserved, notes the attempt,
-- and puts the job where it belongs now. The caller has checked the epoch. Two decisions are made here, because only here nothing can come
-- between: a recorded cancel wins over every other end, since whoever asked was told so; and a job that keeps losing its
-- workers ends as `poison`.
local function settle(id, type, at, ended)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'class', 'engine', 'centicpus', 'memory_mb', 'gpus', 'intent', 'started_at', 'restarts',
    'gpu_uuids', 'user', 'claimed_at', 'charged', 'share', 'usage', 'bucket')
  local class, cause, account = job[1], ended.cause, account_of(job[10], job[15])
  if job[6] == 'cancel' then
    type, cause = 'cancelled', 'cancelled'
  elseif type == 'lost' and tonumber(job[8] or 0) + 1 >= ended.max_restarts then
    type, cause = 'failed', 'poison'
  end
  local data = '{"attempt":' .. ended.attempt .. ',"epoch":' .. ended.epoch
  if cause ~= '' then data = data .. ',"cause":"' .. cause .. '"' end
  if ended.exit_code ~= '' then data = data .. ',"exit_code":' .. ended.exit_code end
  if type == 'retried' then data = data .. ',"due_at":' .. (at + ended.delay_ms) end
  if type == 'released' and ended.message ~= '' then data = data .. ',"message":' .. cjson.encode(ended.message) end
  local to, present = transition(id, type, at, data .. '}')
  if not to then return nil, present end

  redis.call('ZREM', prefix .. ':leases', id)
  redis.call('HDEL', key, 'owner')
  add_reserved(job[2], -1, job[3], job[4])
  if job[9] then free_gpus(id, job[2], job[9]) end
  redis.call('HDEL', key, 'gpu_uuids', 'usage')
  count_job(id, TERMINAL[to] and 0 or 1, -1)
  -- What the job was charged when it was claimed was a guess, of which a part has decayed since.
  -- A worker of a version that knew no shares has charged nothing.
  if job[11] then
    local held_ms = at - tonumber(job[11])
    charge(account, tonumber(job[13]) * held_ms - tonumber(job[12]) * 2 ^ (-held_ms / half_life_ms()), at)
  end
  redis.call('SREM', prefix .. ':engine:' .. job[2] .. ':running', id)
  redis.call('PUBLISH', prefix .. ':engine:' .. job[2], 'room')
  -- Somebody may wait not for this engine but for a quota that this job has been part of.
  if redis.call('EXISTS', prefix .. ':quota_bound') == 1 then
    for _, one in ipairs(redis.call('SMEMBERS', prefix .. ':classes')) do wake_hungry(one, 4) end
  end
  if type ~= 'released' then
    local quoted = cause == '' and 'null' or '"' .. cause .. '"'
    -- A worker that is gone has left its last sample.
    local usage = ended.usage and ended.usage ~= '' and ended.usage or job[14]
    local entry = ended.entry .. (usage and ',"usage":' .. usage or '') .. ',"started_at":' .. (job[7] or 'null') .. ',"finished_at":' .. at .. ',"cause":' .. quoted .. '}'
    local before = redis.call('HGET', key, 'attempts')
    redis.call('HSET', key, 'attempts', (before and before .. ',' or '') .. entry)
  end
  if job[7] and type ~= 'released' and type ~= 'lost' then observe('runtime', class, math.max(0, at - tonumber(job[7]))) end
  if OWN_ENDS[cause] and (TERMINAL[to] or type == 'retried') and job[7] then keep_run_time(account, class, math.max(1, at - tonumber(job[7]))) end
  if type == 'completed' and job[7] then learn_duration(account, class, math.max(1, at - tonumber(job[7]))) end

  if TERMINAL[to] then
    redis.call('HSET', key, 'exit_code', ended.exit_code, 'message', ended.message)
    finish(id, class, to, cause, at)
  else
    redis.call('HDEL', key, 'started_at', 'intent')
    -- A claim that came to nothing has not been its chance: it may wait no longer than before.
    local seen = redis.call('HMGET', key, 'first_started_at', 'queue_deadline')
    if type ~= 'retried' and not seen[1] and seen[2] then
      redis.call('ZADD', prefix .. ':queue_deadlines', seen[2], id)
    end
    if type == 'lost' then redis.call('HINCRBY', key, 'restarts', 1) end
    if type == 'retried' then
      redis.call('HINCRBY', key, 'attempt', 1)
      redis.call('HSET', key, 'restarts', 0, 'due_at', at + ended.delay_ms)
      redis.call('ZADD', prefix .. ':due', at + ended.delay_ms, id)
    else
      to_backlog(id)
    end
  end
  return to
end

-- Takes a running job away from a worker or machine that died: it starts again under a new epoch, or ends as `poison`.
local function lose(id, at, max_restarts)
  local job = redis.call('HMGET', job_key(id), 'epoch', 'attempt', 'node', 'started_at', 'image_digest')
  -- An epoch that did not start has no digest of its own; what stands in the record is from the one before.
  local digest = job[4] and job[5] and cjson.encode(job[5]) or 'null'
  settle(id, 'lost', at, {
    epoch = job[1], attempt = job[2], cause = 'node_lost', exit_code = '', message = '', delay_ms = 0,
    max_restarts = tonumber(max_restarts),
    entry = '{"attempt":' .. job[2] .. ',"epoch":' .. job[1] .. ',"node":' .. cjson.encode(job[3])
      .. ',"image_digest":' .. digest .. ',"exit_code":null,"evidence":null',
  })
end
