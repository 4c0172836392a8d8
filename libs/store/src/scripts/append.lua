-- Adds pieces to a job's log, and the whole lines in them to the list that clients of the workload runner's format read: all of it or
-- nothing. Only the present owner of the present epoch may: whoever was a worker's heir reads what it stored and goes on from there, so
-- a late piece of the former owner must not come behind that. A repeat (its connection broke) finds its pieces there already, in the stream
-- or, as far as that has been sealed, in a segment.
--
-- This script is always sent as text, never by its hash: then a broker that has forgotten it does not keep it behind what is sent next.
-- ARGV: prefix, id, epoch, owner, number of the first piece, how many, then code, attempt, bytes of each, then the lines.
-- Returns 'stored' or 'stale'.
local id, epoch, first, count = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[6])
local key = ARGV[1] .. ':job:' .. id
local job = redis.call('HMGET', key, 'state', 'epoch', 'owner', 'log_sealed')
if job[1] ~= 'running' or job[2] ~= ARGV[3] or job[3] ~= ARGV[4] then return 'stale' end

local log, lines = key .. ':log', 'job_logs:' .. id
local time = redis.call('TIME')
local at = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local last_epoch, last_piece = string.match(last and last[1] or job[4] or '0-0', '^(%d+)-(%d+)$')
local known = tonumber(last_epoch) == epoch and tonumber(last_piece) or 0
for i = 0, count - 1 do
  local field = 7 + 3 * i
  if first + i > known then
    redis.call('XADD', log, epoch .. '-' .. (first + i), 's', ARGV[field], 'a', ARGV[field + 1], 'd', ARGV[field + 2], 't', at)
  end
end
if count == 0 or first + count - 1 > known then
  for i = 7 + 3 * count, #ARGV do redis.call('LPUSH', lines, ARGV[i]) end
  if #ARGV >= 7 + 3 * count then
    redis.call('LTRIM', lines, 0, 999)
    redis.call('EXPIRE', lines, 86400)
  end
end
redis.call('PUBLISH', ARGV[1] .. ':log:' .. id, '')
return 'stored'
