-- Changes the half-life, weights, or both. What users have used stays what it is at this moment: a level is log2(use) + time / half-life, so
-- with another half-life every level is another number. Then all who wait take their new places.
-- ARGV: prefix, half-life in s or nothing, then user, weight, user, weight, …
local at = now_ms()
if ARGV[2] ~= '' then
  local old, new = half_life_ms(), tonumber(ARGV[2]) * 1000
  local levels = redis.call('ZRANGE', prefix .. ':shares', 0, -1, 'WITHSCORES')
  for i = 1, #levels, 2 do
    local level = tonumber(levels[i + 1]) - at / old + at / new
    redis.call('ZADD', prefix .. ':shares', string.format('%.17g', level), levels[i])
  end
  redis.call('HSET', prefix .. ':settings', 'half_life_seconds', ARGV[2])
end
for i = 3, #ARGV, 2 do
  if tonumber(ARGV[i + 1]) == 1 then
    redis.call('HDEL', prefix .. ':weights', ARGV[i])
  else
    redis.call('HSET', prefix .. ':weights', ARGV[i], ARGV[i + 1])
  end
end
for _, class in ipairs(redis.call('SMEMBERS', prefix .. ':classes')) do
  for _, user in ipairs(redis.call('ZRANGE', prefix .. ':eligible:' .. class, 0, -1)) do
    redis.call('ZADD', prefix .. ':eligible:' .. class, 'XX', rank_of(user), user)
  end
end
return 1
