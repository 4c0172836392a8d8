-- All that decides what runs next, at one moment: what waits for a machine, in the order in which it is picked (of each user and shape the first
-- jobs and how many there are), the machines and what runs there, shares, run times and quotas. And of one job, where it is named, all that may
-- keep it back. Reads only, and no more shapes and running jobs than it is told to: no running ones where shapes times machines are more than
-- `most_choices`.
-- ARGV: prefix, JSON: see `Question` in sight-reply.ts, which has the answer too: one JSON text, because thousands of small replies take their
-- reader longer than all the rest. What Redis gives as text stays text: JSON has too few digits here for scores.
local ask = cjson.decode(ARGV[2])
local FIELDS = { 'state', 'class', 'user', 'bucket', 'shape', 'priority', 'created_at', 'hold', 'due_at', 'held_due_at', 'after_left' }
-- Of running jobs the id, shape, class, user, bucket, uuids of GPUs, started_at and claimed_at, read by the server without a call for each.
local RUNNING_FIELDS = { 'GET', '#' }
for _, field in ipairs({ 'shape', 'class', 'user', 'bucket', 'gpu_uuids', 'started_at', 'claimed_at' }) do
  RUNNING_FIELDS[#RUNNING_FIELDS + 1] = 'GET'
  RUNNING_FIELDS[#RUNNING_FIELDS + 1] = job_key('*') .. '->' .. field
end
local RUNNING_WIDTH = #RUNNING_FIELDS / 2
local at = now_ms()
local job = ask.job ~= '' and redis.call('HMGET', job_key(ask.job), unpack(FIELDS)) or {}
local own_queue = job[1] and queue_key(job[2], job[4] or job[3], job[5])
local own_user, own_bucket = job[3] or ask.user, job[4] or job[3] or ask.user

-- Of those whose jobs are looked at: `<user>|<class>` -> weight, learned duration, run times; and of their groups that a quota binds, the tally.
local shares_seen, tallies, looked_at = {}, {}, {}
-- Whose jobs are called by their ids even where no more than their number is asked for: those that machines are kept free for, as `<class>|<user>`.
local named = {}
local has_quotas = redis.call('EXISTS', prefix .. ':quotas') == 1

local function note_pair(user, class)
  local pair = user .. '|' .. class
  if shares_seen[pair] then return end
  shares_seen[pair] = {
    user, redis.call('HGET', prefix .. ':weights', user), redis.call('HGET', prefix .. ':durations', pair),
    redis.call('LRANGE', prefix .. ':run_times:' .. pair, 0, -1),
  }
end

local function note_groups(class, bucket, extras)
  for _, group in ipairs(groups_of(class, bucket, extras)) do
    if not looked_at[group] and quota_of(group) then
      tallies[group] = redis.call('HMGET', prefix .. ':tally', group .. '|running', group .. '|centicpus', group .. '|memory_mb', group .. '|gpus', group .. '|pending')
    end
    looked_at[group] = true
  end
end

-- Where users share a queue, its user stands among the groups of the shape.
local function note(class, bucket, shape)
  local extras = string.find(shape, '{', 1, true) and select(4, shape_parts(shape))
  local user = bucket
  for _, group in ipairs(bucket == '*' and extras and extras.q or {}) do
    local name = string.match(group, '^user/([^/]+)$')
    if name and user == '*' then user = name end
  end
  note_pair(user, class)
  if has_quotas then note_groups(class, bucket, extras) end
end

-- Of each engine that a worker has reported: what it has reserved, who holds its GPUs, for which job it is kept free, and how many jobs run
-- there. And the names of those that are not lost.
local function read_engines(beats)
  local last_beats, engines, there = {}, {}, {}
  for i = 2, #beats, 2 do
    local beat = cjson.decode(beats[i])
    last_beats[beat.engine] = math.max(last_beats[beat.engine] or 0, beat.at)
  end
  for name, last_beat in pairs(last_beats) do
    local key = prefix .. ':engine:' .. name
    local reservation = redis.call('HGETALL', key .. ':reservation')
    engines[name] = {
      redis.call('HMGET', key .. ':reserved', 'centicpus', 'memory_mb', 'gpus'), redis.call('HGETALL', key .. ':gpus'), reservation,
      redis.call('SCARD', key .. ':running'),
    }
    local reserved_for = reservation[1] and redis.call('HGET', key .. ':reservation', 'job')
    local waits = reserved_for and redis.call('HMGET', job_key(reserved_for), 'class', 'user', 'bucket')
    if waits and waits[1] then named[waits[1] .. '|' .. (waits[3] or waits[2])] = true end
    if at - last_beat <= ask.lost_after_ms then there[#there + 1] = name end
  end
  return engines, there
end

-- Of the jobs on these engines as many as there is room for, of each engine one flat list.
local function read_running(names)
  local running, room = {}, ask.running
  for _, name in ipairs(names) do
    local key = prefix .. ':engine:' .. name .. ':running'
    local jobs = room > 0 and redis.call('SORT', key, 'BY', 'nosort', 'LIMIT', 0, room, unpack(RUNNING_FIELDS)) or {}
    for i = 1, #jobs, RUNNING_WIDTH do
      local shape, class, user, bucket = jobs[i + 1], jobs[i + 2], jobs[i + 3], jobs[i + 4]
      if shape and class and user then note(class, bucket or user, shape) end
    end
    room = room - #jobs / RUNNING_WIDTH
    running[name] = jobs
  end
  return running
end

-- Of the queues of these shapes how many jobs there are: a call for each would be most of what a look costs.
local function read_counts(class, user, shapes)
  local counts = redis.call('HMGET', lengths_key(class, user), unpack(shapes))
  for i, shape in ipairs(shapes) do
    counts[i] = tonumber(counts[i] or redis.call('ZCARD', queue_key(class, user, shape)))
  end
  return counts
end

-- Their counts, and of those whose jobs are named, the shape's number and the first of them. Few and flat tables: a thousand small ones take
-- longer to write than to find out what is in them.
local function read_bucket(class, user, shapes)
  local heads, depth, queues = {}, ask.depth, queues_of(class, user)
  if depth == 0 and (user == '*' or user == own_user or user == own_bucket or named[class .. '|' .. user]) then depth = 1 end
  note(class, user, '')
  for i, shape in ipairs(shapes) do
    if string.find(shape, '{', 1, true) then note(class, user, shape) end
    if depth > 0 then
      local key = queues .. hash_of(shape)
      local named_here = key == own_queue and ask.own_depth or depth
      heads[#heads + 1] = { i, redis.call('ZRANGE', key, 0, named_here - 1, 'WITHSCORES') }
    end
  end
  return read_counts(class, user, shapes), heads
end

local function read_buckets()
  local buckets, room, left_out = {}, ask.shapes, 0
  for _, class in ipairs(ask.classes) do
    local users = redis.call('ZRANGE', prefix .. ':eligible:' .. class, 0, -1, 'WITHSCORES')
    for j = 1, #users, 2 do
      local shapes = prefix .. ':shapes:' .. class .. ':' .. users[j]
      local found = room > 0 and redis.call('ZRANGE', shapes, 0, room - 1) or {}
      if #found > 0 then buckets[#buckets + 1] = { class, users[j], users[j + 1], found, read_bucket(class, users[j], found) } end
      room = room - #found
      if room <= 0 then left_out = left_out + redis.call('ZCARD', shapes) - #found end
    end
  end
  return buckets, ask.shapes - room, left_out
end

local function read_job()
  if not job[1] then return {} end
  local place, ahead = -1, 0
  local bucket = job[4] or job[3]
  local score = redis.call('ZSCORE', own_queue, ask.job)
  if score then
    place = redis.call('ZRANK', own_queue, ask.job)
    for _, shape in ipairs(redis.call('ZRANGE', prefix .. ':shapes:' .. job[2] .. ':' .. bucket, 0, 499)) do
      ahead = ahead + redis.call('ZCOUNT', queue_key(job[2], bucket, shape), '-inf', '(' .. score)
    end
  end
  local after = {}
  for _, other in ipairs(ask.after) do
    local seen = look_at_array(other)
    after[#after + 1] = other
    after[#after + 1] = redis.call('HGET', job_key(other), 'state') or (seen and seen.state) or 'completed'
  end
  note(job[2], bucket, job[5])
  return { job, place, ahead, rank_of(account_of(job[3], job[4])), after }
end

local beats = redis.call('HGETALL', prefix .. ':workers')
local engines, there = read_engines(beats)
local buckets, shapes, left_out = read_buckets()
local running = shapes * #there <= ask.most_choices and read_running(there)
local own = read_job()
-- The job may be of another class after a change.
for _, class in ipairs(own_user ~= '' and ask.classes or {}) do note(class, own_user, '') end
return cjson.encode({
  at = at, left_out = left_out, buckets = buckets, beats = beats, engines = engines, running = running, job = own, shares = shares_seen,
  drained = redis.call('SMEMBERS', prefix .. ':drained'), quotas = redis.call('HGETALL', prefix .. ':quotas'), tallies = tallies,
  cluster = redis.call('HMGET', prefix .. ':cluster', 'centicpus', 'memory_mb', 'gpus'),
  half_life_seconds = redis.call('HGET', prefix .. ':settings', 'half_life_seconds'),
})
