-- Ends an epoch. A write from an older epoch, from a worker that is not its owner any more, or after the end, is refused.
-- ARGV: prefix, id, epoch, owner, event, cause, exit_code, message, delay_ms, max_restarts, entry (JSON of the attempt without its closing
-- brace), usage (JSON, or nothing where the last sample in the record holds). Returns {'settled', state} or {'stale', state}.
local id = ARGV[2]
local job = redis.call('HMGET', job_key(id), 'state', 'epoch', 'attempt', 'owner')
if not is_held(job[1], job[2], job[4], ARGV[3], ARGV[4]) then return { 'stale', job[1] or 'missing' } end
local to = settle(id, ARGV[5], now_ms(), {
  epoch = job[2], attempt = job[3], cause = ARGV[6], exit_code = ARGV[7], message = ARGV[8],
  delay_ms = tonumber(ARGV[9]), max_restarts = tonumber(ARGV[10]), entry = ARGV[11], usage = ARGV[12],
})
return { 'settled', to }
