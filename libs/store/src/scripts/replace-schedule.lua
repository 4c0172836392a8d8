-- Changes a schedule if it is still what the caller has read: of two that change it at a time the later one reads again and loses nothing, and
-- whoever changes one that was removed meanwhile does not bring it back. ARGV: prefix, id, the record as it was read, the new one.
-- Returns 1, or 0 where it is another by now or gone. A call that is sent again may find its own change, and has made it.
local key, present = prefix .. ':schedules', redis.call('HGET', prefix .. ':schedules', ARGV[2])
if present == ARGV[4] then return 1 end
if present ~= ARGV[3] then return 0 end
redis.call('HSET', key, ARGV[2], ARGV[4])
return 1
