-- Gives a pending job to a worker: a new epoch, a lease, and the job's share of the machine, or none of them.
-- The reservation is part of the claim, so that several workers on one engine share one ledger and cannot overbook it.
-- Whoever has drawn a ticket gets the best job of its class for this machine: users in the order of their fair share, of each the jobs by
-- priority and age, and of these the first that this machine may and can run now and that no quota holds back. A job too big for what
-- is free does not hold up those behind it, unless the machine is reserved for it: then only those may pass that will be gone in time.
-- The call has a name of its own: a connection that broke sends it again, and then it gets the answer that it lost.
-- ARGV: prefix, class, ticket and nothing, or nothing, nothing and the one job that is wanted, worker, engine, node, capacity (centicpus, memory_mb), lease in ms,
-- the call's name, JSON of the machine: l(abels), r(egion), d(atacenter), g(pus), where to begin among what waits: '0:0', or as told before, the most beats that
-- the caller has seen.
-- Returns {'claimed', id, epoch, attempt, spec, format, class, user, GPU uuids}, {'none'} (nothing that waits can run here now),
-- {'more', where to go on} (nothing so far; a look takes no longer than so much at a time),
-- {'gone', state} (the ticket is of no use any more, or the job that was named cannot be claimed; `missing`: there is no such job),
-- or {'went_back', Unix ms} (nothing is begun).
local class, ticket, wanted = ARGV[2], ARGV[3], ARGV[4]
local worker, engine, node = ARGV[5], ARGV[6], ARGV[7]
local machine = cjson.decode(ARGV[12])
if wanted ~= '' then class = redis.call('HGET', job_key(wanted), 'class') or '' end
-- So many users and shapes are looked at in one call, and so many shapes of one user at all: nobody can hold the others up with jobs of
-- thousands of shapes that run nowhere.
local CHECKS, MOST_SHAPES = 150, 500

local function reply_of(id)
  local job = redis.call('HMGET', job_key(id), 'epoch', 'attempt', 'spec', 'format', 'class', 'user', 'gpu_uuids')
  return { 'claimed', id, tonumber(job[1]), job[2], job[3], job[4], job[5], job[6], job[7] or '' }
end

local calls = prefix .. ':claim:' .. ARGV[11]
local answered, answered_epoch = string.match(redis.call('GET', calls) or '', '^(%S+) (%S+)$')
if answered then
  local job = redis.call('HMGET', job_key(answered), 'owner', 'epoch')
  if job[1] == worker and job[2] == answered_epoch then return reply_of(answered) end
end

local issued_for = ticket ~= '' and redis.call('HGET', prefix .. ':tickets:' .. class, ticket)
if ticket ~= '' and not issued_for then
  -- It was used up; or it is no ticket of ours, and what it names is no job.
  return { 'gone', redis.call('HGET', job_key(string.match(ticket, '^(.*)%-%d+$') or ''), 'state') or 'missing' }
end
local back = went_back(ARGV[14])
if back then return { 'went_back', back } end

local at = now_ms()
local used = redis.call('HMGET', prefix .. ':engine:' .. engine .. ':reserved', 'centicpus', 'memory_mb')
local free_cpus, free_memory = tonumber(ARGV[8]) - tonumber(used[1] or 0), tonumber(ARGV[9]) - tonumber(used[2] or 0)
local reserved = redis.call('HMGET', prefix .. ':engine:' .. engine .. ':reservation', 'job', 'at', 'centicpus', 'memory_mb', 'gpus')

local function is_listed(names, name)
  if not names then return true end
  for _, one in ipairs(names) do if one == name then return true end end
  return false
end

local quotas_allow = judge_quotas(class)
local told_of_quotas = false

-- For so long whoever ends a job wakes those on other machines too: they may be waiting for its quota and not for its room.
local function tell_of_quotas()
  if not told_of_quotas then redis.call('SET', prefix .. ':quota_bound', 1, 'EX', 60) end
  told_of_quotas = true
end

-- Whether the job may pass the one that this machine is reserved for: it is gone before, or fits beside it.
local function may_pass(id, centicpus, memory_mb, gpus, timeout)
  if not reserved[1] or reserved[1] == id then return true, false end
  if at + timeout * 1000 <= tonumber(reserved[2]) then return true, false end
  return centicpus <= tonumber(reserved[3]) and memory_mb <= tonumber(reserved[4]) and gpus <= tonumber(reserved[5]), true
end

-- Whether the job, or else the first of the shape, can run here now. Returns the GPUs that it gets, and whether it takes of what the reservation leaves over.
local function try(id, bucket, shape)
  -- Most of what does not run here is too big for what is free, and that is seen without a look at anything else.
  local first, second = string.match(shape, '^(%d+),(%d+)')
  if tonumber(first) > free_cpus or tonumber(second) > free_memory then return nil end
  local centicpus, memory_mb, timeout, extras = shape_parts(shape)
  local ask = extras and extras.g
  if extras then
    if not is_listed(extras.r, machine.r) or not is_listed(extras.d, machine.d) then return nil end
    for name, value in pairs(extras.s or {}) do
      if machine.l[name] ~= value then return nil end
    end
  end
  id = id or redis.call('ZRANGE', queue_key(class, bucket, shape), 0, 0)[1]
  local passes, takes = may_pass(id, centicpus, memory_mb, ask and ask[1] or 0, timeout)
  if not passes then return nil end
  if not quotas_allow(bucket, extras, centicpus, memory_mb, ask and ask[1] or 0) then
    tell_of_quotas()
    return nil
  end
  local uuids = {}
  if ask then uuids = pick_gpus(engine, ask, machine.g) end
  if not uuids then return nil end
  return { id = id, bucket = bucket, shape = shape, uuids = uuids, slice = ask and ask[3] or 0, takes = takes }
end

-- Returns what was found, or nil and where to go on where that was not all. The order may change between two calls: what is passed over for
-- that is found by the next look.
local function pick()
  if free_cpus <= 0 or free_memory <= 0 then return nil end
  local user, shape = string.match(ARGV[13], '^(%d+):(%d+)$')
  local checks, from = 0, tonumber(shape)
  local buckets = redis.call('ZRANGE', prefix .. ':eligible:' .. class, user, user + CHECKS - 1)
  for i, bucket in ipairs(buckets) do
    local to = from + CHECKS - checks - 1
    if bucket ~= '*' then to = math.min(to, MOST_SHAPES - 1) end
    local shapes = to < from and {} or redis.call('ZRANGE', prefix .. ':shapes:' .. class .. ':' .. bucket, from, to)
    for _, one in ipairs(shapes) do
      local found = try(nil, bucket, one)
      if found then return found end
    end
    checks, from = checks + #shapes + 1, from + #shapes
    if checks >= CHECKS then return nil, string.format('%d:%d', user + i - 1, from) end
    from = 0
  end
end

local function try_wanted()
  local job = redis.call('HMGET', job_key(wanted), 'state', 'due_at', 'user', 'bucket', 'shape', 'hold', 'after_left')
  if job[1] ~= 'pending' or job[6] or tonumber(job[7] or 0) > 0 or (job[2] and tonumber(job[2]) > at) then
    return nil, job[1] or 'missing'
  end
  return try(wanted, job[4] or job[3], job[5])
end

local is_drained = redis.call('SISMEMBER', prefix .. ':drained', node) == 1
local found, gone, more
if wanted ~= '' then found, gone = try_wanted() elseif not is_drained then found, more = pick() end
if gone then return { 'gone', gone } end
if more then return { 'more', more } end
if is_drained or not found then
  redis.call('SADD', prefix .. ':hungry:' .. class, engine)
  return { 'none' }
end

local id, key = found.id, job_key(found.id)
local job = redis.call('HMGET', key, 'centicpus', 'memory_mb', 'gpus', 'class', 'attempt', 'ticket', 'user', 'shape', 'state')
-- The record decides. What stands in a queue and is not pending is taken out of it, and the look begins again.
if job[9] ~= 'pending' then
  from_index(id, class, found.bucket, found.shape)
  redis.call('ZREM', prefix .. ':backlog:' .. class, id)
  redis.call('ZREM', prefix .. ':dispatched:' .. class, id)
  return { 'more', ARGV[13] }
end
-- The first write is one that takes memory: a full Redis refuses that one, and none after it.
local epoch = redis.call('HINCRBY', key, 'epoch', 1)
-- The ticket is used up. The one that was issued for the picked job is still on its way: it is the other's now.
if issued_for and issued_for ~= id then
  redis.call('HDEL', job_key(issued_for), 'ticket')
  if job[6] then
    redis.call('HSET', job_key(issued_for), 'ticket', job[6])
    redis.call('HSET', prefix .. ':tickets:' .. class, job[6], issued_for)
    redis.call('HDEL', key, 'ticket')
    -- With the time when its message was last looked for: a ticket whose message is lost could else be passed on for ever, each time to a job
    -- that has just been looked at.
    local looked_at = redis.call('ZSCORE', prefix .. ':dispatched:' .. class, id)
    if looked_at then redis.call('ZADD', prefix .. ':dispatched:' .. class, 'XX', looked_at, issued_for) end
  else
    to_backlog(issued_for)
  end
end
if issued_for then redis.call('HDEL', prefix .. ':tickets:' .. class, ticket) end
leave_queues(id, class)

local _, _, timeout = shape_parts(job[8])
local share = dominant_share(tonumber(job[1]), tonumber(job[2]), tonumber(job[3]))
local account = account_of(job[7], found.bucket)
local charged = share * expected_ms(account, class, timeout)
redis.call('HSET', key, 'owner', worker, 'engine', engine, 'node', node, 'owned_since', at, 'early_deaths', 0,
  'claimed_at', at, 'share', string.format('%.17g', share), 'charged', string.format('%.17g', charged))
redis.call('SET', calls, id .. ' ' .. epoch, 'EX', 120)
transition(id, 'claimed', at, '{"attempt":' .. job[5] .. ',"epoch":' .. epoch .. ',"node":' .. cjson.encode(node) .. '}')
count_job(id, -1, 1)
charge(account, charged, at)
add_reserved(engine, 1, job[1], job[2])
if #found.uuids > 0 then
  hold_gpus(id, engine, found.uuids, found.slice)
  redis.call('HSET', key, 'gpu_uuids', table.concat(found.uuids, ','))
end
if found.takes then
  for field, amount in pairs({ centicpus = job[1], memory_mb = job[2], gpus = job[3] }) do
    redis.call('HINCRBY', prefix .. ':engine:' .. engine .. ':reservation', field, string.format('%d', -tonumber(amount)))
  end
end
if reserved[1] == id then
  redis.call('DEL', prefix .. ':engine:' .. engine .. ':reservation')
  -- What might not pass it may now fit beside it, in other classes too.
  redis.call('PUBLISH', prefix .. ':engine:' .. engine, 'room')
end
redis.call('SADD', prefix .. ':engine:' .. engine .. ':running', id)
redis.call('ZADD', prefix .. ':leases', at + tonumber(ARGV[10]), id)
return reply_of(id)
