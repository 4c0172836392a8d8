-- Puts a dispatched job whose message is gone back into the backlog. Does nothing where it was claimed or ended meanwhile.
-- ARGV: prefix, id, class.
if not redis.call('ZSCORE', prefix .. ':dispatched:' .. ARGV[3], ARGV[2]) then return 0 end
to_backlog(ARGV[2])
return 1
