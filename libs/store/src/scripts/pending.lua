-- Shared by every script: the jobs that wait for a machine, in the order in which they are picked.
--
--   eligible:<class>                   sorted set: user -> rank in the fair share, lowest first
--   shapes:<class>:<user>              sorted set: shape -> score of its first job
--   queue:<class>:<user>:<sha1 shape>  sorted set: job -> score: higher priority first, then older first
--   queue_lengths:<class>:<user>       hash: shape -> jobs in its queue, for who looks at a thousand queues at once. Set whenever a queue changes, from
--                                      what is in it; a queue that an older version filled has none until then
--
-- Jobs of one shape are alike to every machine, so a pick looks at the first job of each shape only: what does not fit holds nobody up. In a
-- class that orders priority across users all of them share one queue, whose user is called `*`.
--
-- Beside it stands what BullMQ holds. A message there is a ticket: who draws it may pick a job of its class, whichever is the best by then.
-- `tickets:<class>` says for which job each ticket was issued; that job leaves its ticket to the one that the ticket of the picked job
-- was issued for. So there are always as many tickets on their way as there are jobs in `dispatched:<class>`.

-- Higher priority first, then older first. Both fit a double exactly: priority in steps of 2^44 above the milliseconds.
local function backlog_score(priority, created_at)
  return (100 - priority) * 17592186044416 + created_at
end

-- Many queues have the same few shapes.
local hashes = {}
local function hash_of(shape)
  local found = hashes[shape]
  if found then return found end
  hashes[shape] = redis.sha1hex(shape)
  return hashes[shape]
end
local function queues_of(class, bucket) return prefix .. ':queue:' .. class .. ':' .. bucket .. ':' end
local function queue_key(class, bucket, shape) return queues_of(class, bucket) .. hash_of(shape) end

-- Wakes workers that found nothing for them in a class: a few at a time, as each will look for all that there is.
local function wake_hungry(class, count)
  local engines = redis.call('SPOP', prefix .. ':hungry:' .. class, count)
  for _, engine in ipairs(engines) do redis.call('PUBLISH', prefix .. ':engine:' .. engine, 'room') end
end

local function lengths_key(class, bucket) return prefix .. ':queue_lengths:' .. class .. ':' .. bucket end

-- Notes of a queue that has changed which job is its first, and how many there are. Returns whether the user has any in the class.
local function note_queue(class, bucket, shape)
  local queue, shapes = queue_key(class, bucket, shape), prefix .. ':shapes:' .. class .. ':' .. bucket
  local head = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
  if head[2] then
    redis.call('ZADD', shapes, head[2], shape)
    redis.call('HSET', lengths_key(class, bucket), shape, redis.call('ZCARD', queue))
  else
    redis.call('ZREM', shapes, shape)
    redis.call('HDEL', lengths_key(class, bucket), shape)
  end
  return head[2] or redis.call('EXISTS', shapes) == 1
end

local function to_index(id, class, bucket, shape, score)
  redis.call('ZADD', queue_key(class, bucket, shape), score, id)
  note_queue(class, bucket, shape)
  if redis.call('ZADD', prefix .. ':eligible:' .. class, rank_of(bucket), bucket) == 1 then
    redis.call('SADD', prefix .. ':classes', class)
  end
  wake_hungry(class, 4)
end

local function from_index(id, class, bucket, shape)
  if redis.call('ZREM', queue_key(class, bucket, shape), id) == 0 then return end
  local waits = note_queue(class, bucket, shape)
  if not waits then redis.call('ZREM', prefix .. ':eligible:' .. class, bucket) end
end

-- A pending job that nothing holds back any more waits for a machine from now on, without a ticket.
local function to_backlog(id)
  local job = redis.call('HMGET', job_key(id), 'class', 'priority', 'created_at', 'user', 'bucket', 'shape', 'ticket')
  local class, score = job[1], backlog_score(tonumber(job[2]), tonumber(job[3]))
  if job[7] then
    redis.call('HDEL', prefix .. ':tickets:' .. class, job[7])
    redis.call('HDEL', job_key(id), 'ticket')
  end
  redis.call('ZREM', prefix .. ':dispatched:' .. class, id)
  redis.call('ZADD', prefix .. ':backlog:' .. class, score, id)
  to_index(id, class, job[5] or job[4], job[6], score)
end

-- The job is not pending any more, or must not be picked for now. Whatever ticket was issued for it means nothing then.
local function leave_queues(id, class)
  local job = redis.call('HMGET', job_key(id), 'user', 'bucket', 'shape', 'ticket')
  from_index(id, class, job[2] or job[1], job[3])
  redis.call('ZREM', prefix .. ':backlog:' .. class, id)
  redis.call('ZREM', prefix .. ':dispatched:' .. class, id)
  redis.call('ZREM', prefix .. ':due', id)
  redis.call('ZREM', prefix .. ':queue_deadlines', id)
  if job[4] then redis.call('HDEL', prefix .. ':tickets:' .. class, job[4]) end
  redis.call('HDEL', job_key(id), 'due_at', 'ticket')
end
