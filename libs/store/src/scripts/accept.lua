-- Accepts a job: idempotency key, quota, dependencies, inputs, record, indexes, history and backlog, all or nothing. What it depends on is looked at
-- here, where nothing can end in between. Where that can no longer be met, the job is accepted all the same and ends at once, as it
-- would have a moment later.
-- ARGV: prefix, id, created_at, class, centicpus, memory_mb, gpus, priority, format, spec, name, labels (a=1\nb=2),
--       idempotency hash, body hash, key lifetime in s, request (what a kept wire format wants back),
--       how long it may be pending in ms, or nothing, user, shape, where it waits if not with its user's (`*`: the class orders priority across
--       users), `hold` or nothing or `never <why>`,
--       the job that it runs once more, or nothing, then job and condition of each dependency.
-- Returns {'accepted', how many dependencies are open}, {'cancelled'} (it could never run, and has ended), {'replayed', id, created_at}, {'conflict'},
-- {'no_dependency', its place}, {'no_input', the files that are missing} or {'over_quota', group, pending jobs, its limit}.
local id, class = ARGV[2], ARGV[4]
local idempotency, user, shape, bucket = ARGV[13], ARGV[18], ARGV[19], ARGV[20]

local refusal = find_submission(id, idempotency, ARGV[14]) or find_over_quota(class, bucket ~= '' and bucket or user, shape)
if refusal then return refusal end
local never = string.match(ARGV[21], '^never (.*)$')
local missing, open, unmet = look_at_dependencies(user, ARGV, 23)
missing = missing or take_inputs(user, id, ARGV[10])
if missing then return missing end

if idempotency ~= '' then
  redis.call('SET', prefix .. ':idempotency:' .. idempotency, id .. ' ' .. ARGV[14], 'EX', ARGV[15])
end
create_job(id, {
  created_at = tonumber(ARGV[3]), class = class, centicpus = ARGV[5], memory_mb = ARGV[6], gpus = ARGV[7], priority = ARGV[8],
  format = ARGV[9], spec = ARGV[10], name = ARGV[11], labels = ARGV[12], request = ARGV[16], queue_timeout_ms = ARGV[17],
  user = user, shape = shape, bucket = bucket, hold = ARGV[21] == 'hold' or never ~= nil, requeued_from = ARGV[22],
  keyed = idempotency ~= '' and ARGV[15] or '',
}, open, unmet)
if never and not unmet then cancel_pending(id, class, 'cancelled', never, now_ms()) end
if never or unmet then return { 'cancelled' } end
return { 'accepted', #open }
