-- A worker's sign of life, every second. It also shows the worker that the broker takes writes, who of its own engine has fallen
-- silent, and how many other engines there are.
-- It also keeps the installation's name alive in a broker that lost it, and tells what the name is.
-- Beats are counted, by which everybody can see that the broker has not gone back.
-- ARGV: prefix, engine, worker, silent in ms, an engine is remembered for ms, installation, the most beats that the caller has seen.
-- Returns {the broker's time in ms, the installation, other engines, beats, went back at (Unix ms) or '', silent worker, …}.
local alive, at = prefix .. ':engine:' .. ARGV[2] .. ':alive', now_ms()
redis.call('ZADD', alive, at, ARGV[3])
redis.call('ZADD', prefix .. ':engines', at, ARGV[2])
-- A machine that is gone for good leaves nothing behind. One whose jobs are not settled yet has a ledger still.
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', prefix .. ':engines', '-inf', at - tonumber(ARGV[5]))) do
  local keys = prefix .. ':engine:' .. gone
  if redis.call('EXISTS', keys .. ':running') == 0 then
    redis.call('DEL', keys .. ':alive', keys .. ':reserved', keys .. ':gpus', keys .. ':reservation')
    redis.call('ZREM', prefix .. ':engines', gone)
    for _, class in ipairs(redis.call('SMEMBERS', prefix .. ':classes')) do redis.call('SREM', prefix .. ':hungry:' .. class, gone) end
  end
end
local silent = redis.call('ZRANGEBYSCORE', alive, '-inf', '(' .. (at - tonumber(ARGV[4])))
-- Each is named for a while, so that everyone hears of it, and then forgotten.
redis.call('ZREMRANGEBYSCORE', alive, '-inf', at - 60000)
redis.call('SET', prefix .. ':installation', ARGV[6], 'NX')
local back = went_back(ARGV[7])
local beats = redis.call('INCR', prefix .. ':beats')
return { at, redis.call('GET', prefix .. ':installation'), redis.call('ZCARD', prefix .. ':engines') - 1, beats, back or '', unpack(silent) }
