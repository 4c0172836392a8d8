-- What waits for a machine, in the order in which it is picked: of each user and shape the first jobs and how many there are. And of one job,
-- where it is named, all that may keep it back. Reads only, and no more shapes than it is told to.
-- ARGV: prefix, job or '', jobs of each queue, jobs of the named one's queue, shapes at most, JSON list of the jobs that it runs after, class, …
-- Returns {time in ms, shapes that were left out, queues, job}; a queue is {class, user, rank, shape, jobs in it, id, score, …}; the job is
-- {} or {its fields, its place in its queue (-1: it is in none), jobs of its user before it, its user's rank, {dependency, state, …}}.
local id, depth, own_depth, room = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local FIELDS = { 'state', 'class', 'user', 'bucket', 'shape', 'priority', 'created_at', 'hold', 'due_at', 'held_due_at', 'after_left' }
local job = id ~= '' and redis.call('HMGET', job_key(id), unpack(FIELDS)) or {}
local own_queue = job[1] and queue_key(job[2], job[4] or job[3], job[5])
local queues, left_out = {}, 0

local function add_queue(class, user, rank, shape)
  local key = queue_key(class, user, shape)
  local queue = { class, user, rank, shape, redis.call('ZCARD', key) }
  for _, value in ipairs(redis.call('ZRANGE', key, 0, (key == own_queue and own_depth or depth) - 1, 'WITHSCORES')) do
    queue[#queue + 1] = value
  end
  queues[#queues + 1] = queue
end

for i = 7, #ARGV do
  local class = ARGV[i]
  local users = redis.call('ZRANGE', prefix .. ':eligible:' .. class, 0, -1, 'WITHSCORES')
  for j = 1, #users, 2 do
    local shapes = prefix .. ':shapes:' .. class .. ':' .. users[j]
    local found = room > 0 and redis.call('ZRANGE', shapes, 0, room - 1) or {}
    for _, shape in ipairs(found) do add_queue(class, users[j], users[j + 1], shape) end
    room = room - #found
    if room <= 0 then left_out = left_out + redis.call('ZCARD', shapes) - #found end
  end
end

if not job[1] then return { now_ms(), left_out, queues, {} } end
local place, ahead = -1, 0
local score = redis.call('ZSCORE', own_queue, id)
if score then
  place = redis.call('ZRANK', own_queue, id)
  local bucket = job[4] or job[3]
  for _, shape in ipairs(redis.call('ZRANGE', prefix .. ':shapes:' .. job[2] .. ':' .. bucket, 0, 499)) do
    ahead = ahead + redis.call('ZCOUNT', queue_key(job[2], bucket, shape), '-inf', '(' .. score)
  end
end
local after = {}
for _, other in ipairs(cjson.decode(ARGV[6])) do
  local seen = look_at_array(other)
  after[#after + 1] = other
  after[#after + 1] = redis.call('HGET', job_key(other), 'state') or (seen and seen.state) or 'completed'
end
for i = 1, #FIELDS do job[i] = job[i] or '' end
return { now_ms(), left_out, queues, { job, place, ahead, rank_of(job[3]), after } }
