-- Forgets when an image was last used, unless it has been used since that was seen.
-- ARGV: prefix, engine, image, used at as it was seen (Unix ms). Returns how many were forgotten: 1 or 0.
local images = prefix .. ':engine:' .. ARGV[2] .. ':images'
if tonumber(redis.call('ZSCORE', images, ARGV[3]) or '') ~= tonumber(ARGV[4]) then return 0 end
return redis.call('ZREM', images, ARGV[3])
