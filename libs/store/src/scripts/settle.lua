-- Ends an epoch. A write from an older epoch, or after the end, is refused.
-- ARGV: prefix, id, epoch, event, cause, exit_code, message, delay_ms, max_restarts, entry (JSON of the attempt without its closing
-- brace). Returns {'settled', state} or {'stale', state}.
local id = ARGV[2]
local job = redis.call('HMGET', job_key(id), 'state', 'epoch', 'attempt')
if job[1] ~= 'running' or job[2] ~= ARGV[3] then return { 'stale', job[1] or 'missing' } end
local to = settle(id, ARGV[4], now_ms(), {
  epoch = job[2], attempt = job[3], cause = ARGV[5], exit_code = ARGV[6], message = ARGV[7],
  delay_ms = tonumber(ARGV[8]), max_restarts = tonumber(ARGV[9]), entry = ARGV[10],
})
return { 'settled', to }
