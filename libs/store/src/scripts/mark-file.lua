-- Begins to remove an upload: from here on nobody can take it, and its object may go. It must still be the one that the caller saw.
-- ARGV: prefix, user, sha256, object, used_at as it was seen, or nothing where a later use does not matter.
-- Returns 'marked', 'needed' (a job that has not ended was submitted with it), 'changed' (not the one that was seen) or 'again'.
local user, sha256 = ARGV[2], ARGV[3]
local file, at = redis.call('HMGET', file_key(user, sha256), unpack(FILE_FIELDS)), now_ms()
if file[1] ~= ARGV[4] or (ARGV[5] ~= '' and file[5] ~= ARGV[5]) then return 'changed' end
if file[6] then return 'marked' end
local needed = is_needed(user, sha256)
if needed == nil then return 'again' end
if needed then return 'needed' end
redis.call('HSET', file_key(user, sha256), 'removing', at)
return 'marked'
