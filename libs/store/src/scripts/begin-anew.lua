-- Called before an epoch writes anything: where an earlier one has written of the same attempt, a note says that all of it comes again.
-- It stands at place 0, so that to say it twice is harmless. ARGV: prefix, id, epoch, owner, attempt, code, text.
-- Returns 'stored' or 'stale'.
local id, epoch = ARGV[2], tonumber(ARGV[3])
local job = redis.call('HMGET', job_key(id), 'state', 'epoch', 'owner')
if job[1] ~= 'running' or job[2] ~= ARGV[3] or job[3] ~= ARGV[4] then return 'stale' end
local log = job_key(id) .. ':log'
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
if not last or last[2][4] ~= ARGV[5] then return 'stored' end
if tonumber(string.match(last[1], '^%d+')) >= epoch then return 'stored' end
redis.call('XADD', log, epoch .. '-0', 's', ARGV[6], 'a', ARGV[5], 'd', ARGV[7])
redis.call('PUBLISH', prefix .. ':log:' .. id, '')
return 'stored'
