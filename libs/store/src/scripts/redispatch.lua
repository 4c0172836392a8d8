-- Puts a dispatched job whose message is gone back into the backlog. Does nothing where it was claimed or ended meanwhile.
-- A ticket may have been passed on while the caller looked for its message: then the job has another one, and nothing is wrong with that.
-- ARGV: prefix, id, class, the ticket whose message is gone, or nothing.
if not redis.call('ZSCORE', prefix .. ':dispatched:' .. ARGV[3], ARGV[2]) then return 0 end
if ARGV[4] ~= '' and redis.call('HGET', job_key(ARGV[2]), 'ticket') ~= ARGV[4] then return 0 end
to_backlog(ARGV[2])
return 1
