-- Keeps an engine free for a job for some seconds, or, without a time, gives it up where it is still kept for that job. Whoever asks has
-- planned with what ran there when they looked: had anything been claimed or ended since, what the job leaves over would be another amount.
-- ARGV: prefix, engine, job, at (ms) or nothing, centicpus, memory_mb, gpus that others may hold beyond that time, for how many seconds,
-- the jobs that ran (ids in order, with blanks between). Returns 'reserved', 'given_up' or 'changed'.
local engine, id = ARGV[2], ARGV[3]
local key = prefix .. ':engine:' .. engine .. ':reservation'
if ARGV[4] == '' then
  if redis.call('HGET', key, 'job') == id then
    redis.call('DEL', key)
    redis.call('PUBLISH', prefix .. ':engine:' .. engine, 'room')
  end
  return 'given_up'
end
local job = redis.call('HMGET', job_key(id), 'state', 'hold')
local running = redis.call('SMEMBERS', prefix .. ':engine:' .. engine .. ':running')
table.sort(running)
if job[1] ~= 'pending' or job[2] or table.concat(running, ' ') ~= ARGV[9] then return 'changed' end
redis.call('HSET', key, 'job', id, 'at', ARGV[4], 'centicpus', ARGV[5], 'memory_mb', ARGV[6], 'gpus', ARGV[7])
redis.call('EXPIRE', key, ARGV[8])
return 'reserved'
