-- Gives a running job to another worker of the same engine, under the same epoch: its container goes on. Of several that try,
-- one gets it, and from then on the former owner's writes are refused. A repeat by the new owner gets the same answer.
-- A job may be what kills its owners. One that died within seconds of becoming the owner counts as killed by it, and after so many in
-- a row the epoch is doomed: whoever adopts it then removes the container and gives the epoch up, which ends as `poison` when it goes on.
-- ARGV: prefix, id, worker, engine, node, lease in ms, silent in ms, an owner's early death in ms, how many of them where the
-- epoch has not started, and where it has, the most beats that the caller has seen.
-- Returns {'adopted', epoch, attempt, spec, format, class, for how long it has run in ms or '', image digest or '', intent or '',
-- user, GPU uuids or ''},
-- the same with 'doomed' in front, {'held'} or {'gone', state}.
local id, key = ARGV[2], job_key(ARGV[2])
local job = redis.call('HMGET', key, 'state', 'epoch', 'owner', 'engine', 'attempt', 'spec', 'format', 'class', 'started_at',
  'image_digest', 'intent', 'owned_since', 'early_deaths', 'user', 'gpu_uuids')
if job[1] ~= 'running' or job[4] ~= ARGV[4] then return { 'gone', job[1] or 'missing' } end
-- What has not started would be begun by whoever adopts it. It may long have ended.
if went_back(ARGV[11]) and not job[9] then return { 'held' } end
local at, early_deaths = now_ms(), tonumber(job[13] or 0)
if job[3] ~= ARGV[3] then
  if not is_adoptable(id, job[3], job[4], at, tonumber(ARGV[7])) then return { 'held' } end
  local seen = job[3] and tonumber(redis.call('ZSCORE', prefix .. ':engine:' .. job[4] .. ':alive', job[3]))
  local died_early = seen and job[12] and seen - tonumber(job[12]) < tonumber(ARGV[8])
  early_deaths = died_early and early_deaths + 1 or 0
  redis.call('HSET', key, 'owner', ARGV[3], 'node', ARGV[5], 'owned_since', at, 'early_deaths', early_deaths)
  transition(id, 'adopted', at, '{"attempt":' .. job[5] .. ',"epoch":' .. job[2] .. ',"node":' .. cjson.encode(ARGV[5]) .. '}')
end
redis.call('ZADD', prefix .. ':leases', at + tonumber(ARGV[6]), id)
-- An epoch that did not start has no digest of its own.
local ran = job[9] and math.max(0, at - tonumber(job[9])) or ''
local doomed = early_deaths >= tonumber(job[9] and ARGV[10] or ARGV[9])
return { doomed and 'doomed' or 'adopted', job[2], job[5], job[6], job[7], job[8], ran, job[9] and job[10] or '', job[11] or '',
  job[14], job[15] or '' }
