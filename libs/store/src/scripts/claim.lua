-- Gives a pending job to a worker: a new epoch, a lease, and the job's share of the machine, or none of them.
-- The reservation is part of the claim, so that several workers on one engine share one ledger and cannot overbook it.
-- The call has a name of its own: a connection that broke sends it again, and then it gets the answer that it lost.
-- ARGV: prefix, id, worker, engine, node, capacity (centicpus, memory_mb, gpus), lease in ms, the call's name, the most beats
-- that the caller has seen.
-- Returns {'claimed', epoch, attempt, spec, format, class}, {'no_room', centicpus, memory_mb, gpus},
-- {'too_big'} (it never fits this machine), {'gone', state} or {'went_back', Unix ms} (nothing is begun).
local id, key = ARGV[2], job_key(ARGV[2])
local job = redis.call('HMGET', key, 'state', 'due_at', 'centicpus', 'memory_mb', 'gpus', 'class', 'attempt', 'spec',
  'format', 'claim', 'epoch')
if job[1] == 'running' and job[10] == ARGV[10] and redis.call('HGET', key, 'owner') == ARGV[3] then
  return { 'claimed', tonumber(job[11]), job[7], job[8], job[9], job[6] }
end
if job[1] ~= 'pending' then return { 'gone', job[1] or 'missing' } end
local back = went_back(ARGV[11])
if back then return { 'went_back', back } end
local at = now_ms()
if job[2] and tonumber(job[2]) > at then return { 'gone', 'pending' } end

local used = redis.call('HMGET', prefix .. ':engine:' .. ARGV[4] .. ':reserved', 'centicpus', 'memory_mb', 'gpus')
local no_room = false
for i = 1, 3 do
  local ask, capacity = tonumber(job[2 + i]), tonumber(ARGV[5 + i])
  if ask > capacity then return { 'too_big' } end
  if ask > capacity - tonumber(used[i] or 0) then no_room = true end
end
if no_room then return { 'no_room', job[3], job[4], job[5] } end

local epoch = redis.call('HINCRBY', key, 'epoch', 1)
redis.call('HSET', key, 'owner', ARGV[3], 'engine', ARGV[4], 'node', ARGV[5], 'claim', ARGV[10],
  'owned_since', at, 'early_deaths', 0)
transition(id, 'claimed', at, '{"attempt":' .. job[7] .. ',"epoch":' .. epoch .. ',"node":' .. cjson.encode(ARGV[5]) .. '}')
add_reserved(ARGV[4], 1, job[3], job[4], job[5])
redis.call('SADD', prefix .. ':engine:' .. ARGV[4] .. ':running', id)
leave_queues(id, job[6])
redis.call('ZADD', prefix .. ':leases', at + tonumber(ARGV[9]), id)
return { 'claimed', epoch, job[7], job[8], job[9], job[6] }
