-- Notes that a job is in the archive, for readers that ask whether what they look for can be there. ARGV: prefix, id.
local key = prefix .. ':archived:newest'
if ARGV[2] > (redis.call('GET', key) or '') then redis.call('SET', key, ARGV[2]) end
