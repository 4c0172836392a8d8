-- Runs the failed indices of an array once more, whether the rest has ended or not: they count as pending again, and new jobs are made of them.
-- A failed index has no job that lives, so none is doubled; of two that ask at a time one gets them all. ARGV: prefix, array.
-- Returns how many there are, -1 where there is no such array, or {'no_input', the files that are missing}.
local id = ARGV[2]
local key, seen = array_key(id), look_at_array(id)
if not seen then return -1 end
local array = redis.call('HMGET', key, 'user', 'spec')
local missing = take_inputs(array[1], id, array[2])
if missing then return missing end
if seen.failed == 0 then return 0 end
redis.call('BITOP', 'OR', key .. ':again', key .. ':again', key .. ':failed')
redis.call('DEL', key .. ':failed')
redis.call('HINCRBY', key, 'again', seen.failed)
redis.call('HSET', key, 'failed', 0)
redis.call('HDEL', key, 'finished_at')
redis.call('ZREM', prefix .. ':arrays:finished', id)
redis.call('SADD', prefix .. ':arrays:ready', id)
return seen.failed
