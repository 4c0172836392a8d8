-- Shared by every script: an array, which is one record for many jobs that differ in their index only.
--
--   array:<id>            hash: what its jobs have in common, and how many indices are where
--   array:<id>:completed, :failed, :cancelled   bitmaps by index: what has ended, also after the jobs are forgotten
--   array:<id>:again      bitmap by index: to be run once more
--   array:<id>:live       sorted set by index: its jobs that have not ended
--   array:<id>:jobs       hash: index -> its latest job, while that is remembered
--   array:<id>:values     list of JSON strings by index, where the array was given values
--   arrays:ready          set: arrays that may have room for more jobs
--
-- An index is in one place at a time: not yet a job (`next` and beyond, or in `again`), a job that has not ended (`live`), or in the bitmap
-- of how it ended. Each move between these is one step of one script, so an index never has two jobs that live, and none is left out.
-- Only so many of the jobs of an array are pending at a time; an array of a million indices costs what its window costs.

local function array_key(id) return prefix .. ':array:' .. id end

-- Bytes first, where the range covers them.
local function set_bits(key, from, to)
  while from < to and from % 8 ~= 0 do
    redis.call('SETBIT', key, from, 1)
    from = from + 1
  end
  local bytes = math.floor((to - from) / 8)
  if bytes > 0 then redis.call('SETRANGE', key, from / 8, string.rep('\255', bytes)) end
  for index = from + bytes * 8, to - 1 do redis.call('SETBIT', key, index, 1) end
end

-- The state of an array, and the number of indices that are not jobs yet. Nil where there is no such array.
local function look_at_array(id)
  local array = redis.call('HMGET', array_key(id), 'size', 'next', 'again', 'running', 'completed', 'failed', 'cancelled', 'pending', 'window')
  local size = tonumber(array[1])
  if not size then return nil end
  local again, running = tonumber(array[3]), tonumber(array[4])
  local completed, failed, cancelled = tonumber(array[5]), tonumber(array[6]), tonumber(array[7])
  local seen = {
    size = size, next = tonumber(array[2]), again = again, failed = failed,
    todo = size - tonumber(array[2]) + again, pending = tonumber(array[8]), window = tonumber(array[9]), ended = false,
  }
  if completed + failed + cancelled == size then
    seen.ended = true
    seen.state = failed > 0 and 'failed' or cancelled > 0 and 'cancelled' or 'completed'
  else
    seen.state = running + completed + failed + cancelled > 0 and 'running' or 'pending'
  end
  return seen
end

-- Called after each step that ends indices. Jobs that depend on the array are judged by whoever runs `judge_dependants` next.
local function end_array_if_over(id, at)
  local seen = look_at_array(id)
  if not seen.ended then return end
  redis.call('HSET', array_key(id), 'finished_at', at)
  redis.call('ZADD', prefix .. ':arrays:finished', at, id)
  redis.call('SREM', prefix .. ':arrays:ready', id)
  if redis.call('EXISTS', prefix .. ':dependants:' .. id) == 1 then
    redis.call('RPUSH', prefix .. ':unmet', id .. ' ' .. seen.state)
  end
end

-- One of its jobs went from one state to another.
local function move_in_array(array, index, id, from, to, at)
  local key = array_key(array)
  if redis.call('EXISTS', key) == 0 then return end
  redis.call('HINCRBY', key, from, -1)
  redis.call('HINCRBY', key, to, 1)
  if to == 'completed' or to == 'failed' or to == 'cancelled' then
    redis.call('SETBIT', key .. ':' .. to, index, 1)
    redis.call('ZREM', key .. ':live', id)
    end_array_if_over(array, at)
  end
  local seen = look_at_array(array)
  if seen.todo > 0 and seen.pending <= seen.window / 2 then redis.call('SADD', prefix .. ':arrays:ready', array) end
end

-- What is not a job yet ends as cancelled.
local function cancel_unexpanded(id, at)
  local key, seen = array_key(id), look_at_array(id)
  if seen.todo > 0 then
    set_bits(key .. ':cancelled', seen.next, seen.size)
    if seen.again > 0 then
      redis.call('BITOP', 'OR', key .. ':cancelled', key .. ':cancelled', key .. ':again')
      redis.call('DEL', key .. ':again')
    end
    redis.call('HSET', key, 'next', seen.size, 'again', 0)
    redis.call('HINCRBY', key, 'cancelled', seen.todo)
    redis.call('SREM', prefix .. ':arrays:ready', id)
    end_array_if_over(id, at)
  end
end
