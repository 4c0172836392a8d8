-- Tells whether the broker has gone back, to whoever gives no signs of life of its own. It writes only where that is news: it must answer
-- also where nothing can be written. ARGV: prefix, the most beats that the caller has seen. Returns {beats, went back at (Unix ms) or ''}.
local at = went_back(ARGV[2])
return { redis.call('GET', prefix .. ':beats') or '0', at or '' }
