-- Ends what `mark-file` began, with `remove`, or takes it back, with `keep`. Nothing happens where another object has taken its place.
-- ARGV: prefix, user, sha256, object, `remove` or `keep`. Returns 1 where it happened.
local user, sha256 = ARGV[2], ARGV[3]
local file = redis.call('HMGET', file_key(user, sha256), unpack(FILE_FIELDS))
if file[1] ~= ARGV[4] or not file[6] then return 0 end
if ARGV[5] == 'keep' then
  redis.call('HDEL', file_key(user, sha256), 'removing')
else
  forget_file(user, sha256, file)
end
return 1
