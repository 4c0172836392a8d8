-- Makes an object the upload of its user, unless the user has these bytes already. One that is on its way out does not count as had: the new
-- object takes its place, and whoever removes the old one finds that it is no longer theirs. Nor does one whose object is known to be lost:
-- the new object takes that one's place in the entry, where nobody else's has yet.
-- ARGV: prefix, user, sha256, object, bytes, name, quota in bytes or nothing, the object that is lost or nothing.
-- Returns {'added', 'known' or 'restored', object, bytes, name, created_at, used_at} or {'over_quota', bytes stored}.
local user, sha256, bytes = ARGV[2], ARGV[3], tonumber(ARGV[5])
local key, at = file_key(user, sha256), now_ms()
local file = redis.call('HMGET', key, unpack(FILE_FIELDS))
local kind = 'added'
if file[1] and not file[6] then kind = file[1] == ARGV[8] and 'restored' or 'known' end
if kind == 'added' then
  local stored = tonumber(redis.call('HGET', prefix .. ':file_bytes', user) or 0) - (file[1] and bytes or 0)
  if ARGV[7] ~= '' and stored + bytes > tonumber(ARGV[7]) then return { 'over_quota', stored } end
  if file[1] then forget_file(user, sha256, file) end
  redis.call('HSET', key, 'object', ARGV[4], 'bytes', ARGV[5], 'name', ARGV[6], 'created_at', at)
  touch_file(user, sha256, at)
  redis.call('ZADD', prefix .. ':files:user:' .. user, 0, place_in_list(at, sha256))
  redis.call('HINCRBY', prefix .. ':file_bytes', user, ARGV[5])
else
  if kind == 'restored' then redis.call('HSET', key, 'object', ARGV[4]) end
  touch_file(user, sha256, at)
end
return { kind, unpack(redis.call('HMGET', key, unpack(FILE_FIELDS))) }
