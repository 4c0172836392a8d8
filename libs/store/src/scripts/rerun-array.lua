-- Runs the failed indices of an array once more, whether the rest has ended or not: they count as pending again, and new jobs are made of them.
-- A failed index has no job that lives, so none is doubled; of two that ask at a time one gets them all. ARGV: prefix, array.
-- Returns how many there are, or -1 where there is no such array.
local id = ARGV[2]
local key, seen = array_key(id), look_at_array(id)
if not seen then return -1 end
if seen.failed == 0 then return 0 end
redis.call('BITOP', 'OR', key .. ':again', key .. ':again', key .. ':failed')
redis.call('DEL', key .. ':failed')
redis.call('HINCRBY', key, 'again', seen.failed)
redis.call('HSET', key, 'failed', 0)
redis.call('HDEL', key, 'finished_at')
redis.call('ZREM', prefix .. ':arrays:finished', id)
redis.call('SADD', prefix .. ':arrays:ready', id)
return seen.failed
