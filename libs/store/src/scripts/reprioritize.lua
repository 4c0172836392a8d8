-- Gives a pending job another priority. Where it waits for a machine it takes its new place at once; the ticket that was issued for it stays
-- as good as it was. ARGV: prefix, id, priority. Returns {'changed', class}, {'refused', state} where it is not pending, or {'missing'}.
local id, key = ARGV[2], job_key(ARGV[2])
local job = redis.call('HMGET', key, 'state', 'class', 'priority', 'created_at', 'user', 'bucket', 'shape')
local class, bucket, shape = job[2], job[6] or job[5], job[7]
if not job[1] then return { 'missing' } end
if job[1] ~= 'pending' then return { 'refused', job[1] } end
if job[3] == ARGV[3] then return { 'changed', class } end
redis.call('HSET', key, 'priority', ARGV[3])
local score = backlog_score(tonumber(ARGV[3]), tonumber(job[4]))
redis.call('ZADD', prefix .. ':backlog:' .. class, 'XX', score, id)
if redis.call('ZSCORE', queue_key(class, bucket, shape), id) then
  from_index(id, class, bucket, shape)
  to_index(id, class, bucket, shape, score)
end
transition(id, 'reprioritized', now_ms(), '{"from":' .. job[3] .. ',"to":' .. ARGV[3] .. '}')
return { 'changed', class }
