-- Notes that the container of an epoch runs, once: a connection that broke sends it again. ARGV: prefix, id, epoch, owner, image digest.
-- Returns 'started', 'cancel' where a cancel is recorded already, or 'stale'.
local id, key = ARGV[2], job_key(ARGV[2])
local job = redis.call('HMGET', key, 'state', 'epoch', 'intent', 'created_at', 'first_started_at', 'class', 'attempt',
  'started_at', 'owner')
if not is_held(job[1], job[2], job[9], ARGV[3], ARGV[4]) then return 'stale' end
local reply = job[3] == 'cancel' and 'cancel' or 'started'
if job[8] then return reply end
local at = now_ms()
redis.call('HSET', key, 'started_at', at, 'image_digest', ARGV[5])
if not job[5] then
  redis.call('HSET', key, 'first_started_at', at)
  observe('queue', job[6], math.max(0, at - tonumber(job[4])))
end
transition(id, 'started', at, '{"attempt":' .. job[7] .. ',"epoch":' .. job[2] .. ',"image_digest":' .. cjson.encode(ARGV[5]) .. '}')
return reply
