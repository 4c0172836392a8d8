-- Ends what `mark-file` began. Nothing happens where another object has taken its place.
-- ARGV: prefix, user, sha256, object. Returns 1 where it happened.
local user, sha256 = ARGV[2], ARGV[3]
local file = redis.call('HMGET', file_key(user, sha256), unpack(FILE_FIELDS))
if file[1] ~= ARGV[4] or not file[6] then return 0 end
forget_file(user, sha256, file)
return 1
