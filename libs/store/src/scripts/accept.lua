-- Accepts a job: idempotency key, record, indexes, history and backlog, all or nothing.
-- ARGV: prefix, id, created_at, class, centicpus, memory_mb, gpus, priority, format, spec, name, labels (a=1\nb=2),
--       idempotency hash, body hash, key lifetime in s, request (what a kept wire format wants back),
--       how long it may be pending in ms, or nothing.
-- Returns {'accepted'}, {'replayed', id, created_at} or {'conflict'}.
local id, created_at, class = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local idempotency = ARGV[13]

if idempotency ~= '' then
  local key = prefix .. ':idempotency:' .. idempotency
  local known_id, known_body = string.match(redis.call('GET', key) or '', '^(%S+) (%S+)$')
  local known_at = known_id and redis.call('HGET', job_key(known_id), 'created_at')
  -- A key may outlive its job where jobs are kept for less than a day; then it is free again.
  if known_at and known_body ~= ARGV[14] then return { 'conflict' } end
  if known_at then return { 'replayed', known_id, known_at } end
  redis.call('SET', key, id .. ' ' .. ARGV[14], 'EX', ARGV[15])
end

redis.call('HSET', job_key(id), 'state', 'pending', 'class', class, 'centicpus', ARGV[5], 'memory_mb', ARGV[6],
  'gpus', ARGV[7], 'priority', ARGV[8], 'format', ARGV[9], 'created_at', created_at, 'attempt', 1,
  'events', 1, 'spec', ARGV[10])
if ARGV[16] ~= '' then redis.call('HSET', job_key(id), 'request', ARGV[16]) end
redis.call('ZADD', prefix .. ':jobs', 0, id)
redis.call('ZADD', prefix .. ':jobs:state:pending', 0, id)
if ARGV[9] ~= 'v1' then redis.call('ZADD', prefix .. ':jobs:format:' .. ARGV[9], 0, id) end
if ARGV[11] ~= '' then redis.call('ZADD', prefix .. ':jobs:name:' .. ARGV[11], 0, id) end
for label in string.gmatch(ARGV[12], '[^\n]+') do redis.call('ZADD', prefix .. ':jobs:label:' .. label, 0, id) end
redis.call('ZADD', prefix .. ':backlog:' .. class, backlog_score(tonumber(ARGV[8]), created_at), id)
if ARGV[17] ~= '' then
  local deadline = now_ms() + tonumber(ARGV[17])
  redis.call('HSET', job_key(id), 'queue_deadline', deadline)
  redis.call('ZADD', prefix .. ':queue_deadlines', deadline, id)
end
announce(id, class, 1, 'submitted', 'pending', created_at, '{}')
redis.call('HINCRBY', prefix .. ':counters', 'submitted|' .. class, 1)
return { 'accepted' }
