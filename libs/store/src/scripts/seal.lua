-- The first pieces of a job's stream stand in an object of the file store by now: notes that in the job's index of segments, and takes them off
-- the stream, in one step. Pieces never change and only the beginning of the stream is taken, so whoever seals, and however often, the log
-- stays the same. While the job runs only its owner may, as nobody else knows what it is about to seal.
-- ARGV: prefix, id, epoch, owner, ids of the first and the last piece, the segment's entry in the index. Returns 'sealed' or 'stale'.
local id, key, first, last = ARGV[2], job_key(ARGV[2]), ARGV[5], ARGV[6]
local job = redis.call('HMGET', key, 'state', 'epoch', 'owner', 'log_sealed')
if not job[1] then return 'stale' end
if job[1] == 'running' and not is_held(job[1], job[2], job[3], ARGV[3], ARGV[4]) then return 'stale' end
if job[4] == last then return 'sealed' end
local log = key .. ':log'
local head = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
if not head or head[1] ~= first or #redis.call('XRANGE', log, last, last) == 0 then return 'stale' end
redis.call('RPUSH', key .. ':segments', ARGV[7])
redis.call('HSET', key, 'log_sealed', last)
local epoch, number = string.match(last, '^(%d+)-(%d+)$')
redis.call('XTRIM', log, 'MINID', epoch .. '-' .. string.format('%d', number + 1))
if redis.call('XLEN', log) == 0 then
  redis.call('DEL', log)
  redis.call('ZREM', prefix .. ':unsealed', id)
end
return 'sealed'
