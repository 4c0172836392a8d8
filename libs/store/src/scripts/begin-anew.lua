-- Called before an epoch writes anything: where an earlier one has written of the same attempt, a note says that all of it comes again.
-- It stands at place 0, so that to say it twice is harmless. ARGV: prefix, id, epoch, owner, attempt, code, text.
-- Returns 'stored' or 'stale'.
local id, epoch = ARGV[2], tonumber(ARGV[3])
local job = redis.call('HMGET', job_key(id), 'state', 'epoch', 'owner')
if job[1] ~= 'running' or job[2] ~= ARGV[3] or job[3] ~= ARGV[4] then return 'stale' end
local log = job_key(id) .. ':log'
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local place, attempt = last and last[1], last and last[2][4]
if not last then
  local segment = redis.call('LINDEX', job_key(id) .. ':segments', -1)
  if not segment then return 'stored' end
  segment = cjson.decode(segment)
  place, attempt = segment.last, string.format('%d', segment.attempt)
end
if attempt ~= ARGV[5] or tonumber(string.match(place, '^%d+')) >= epoch then return 'stored' end
redis.call('XADD', log, epoch .. '-0', 's', ARGV[6], 'a', ARGV[5], 'd', ARGV[7], 't', string.format('%d', now_ms()))
redis.call('PUBLISH', prefix .. ':log:' .. id, '')
return 'stored'
