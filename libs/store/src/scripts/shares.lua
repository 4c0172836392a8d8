-- Shared by every script: who has used how much, and who may hold how much. The pure functions are in fair-share.ts and quota.ts.
--
--   shares   sorted set: user -> log2(use) + time / half-life: it needs no upkeep while the use decays
--   weights  hash: user -> weight, where it is not 1
--   tally    hash: <group>|running, |centicpus, |memory_mb, |gpus, |pending: what each group of jobs holds now
--   quotas   hash: group -> JSON; the group of every user stands as user/*

local LOG2 = math.log(2)
local LEAST_USE = 1e-6

local function half_life_ms()
  return tonumber(redis.call('HGET', prefix .. ':settings', 'half_life_seconds') or 86400) * 1000
end

local function to_number(text) return text == '-inf' and -math.huge or tonumber(text) end

local function rank_of(user)
  local level = user ~= '*' and redis.call('ZSCORE', prefix .. ':shares', user)
  if not level then return '-inf' end
  local weight = tonumber(redis.call('HGET', prefix .. ':weights', user) or 1)
  return string.format('%.17g', to_number(level) - math.log(weight) / LOG2)
end

-- Puts a user where they belong now among those who wait.
local function rerank(user)
  local rank = rank_of(user)
  for _, class in ipairs(redis.call('SMEMBERS', prefix .. ':classes')) do
    redis.call('ZADD', prefix .. ':eligible:' .. class, 'XX', rank, user)
  end
end

-- `amount` in share-milliseconds; less than nothing gives back what was charged too much.
local function charge(user, amount, at)
  local age = at / half_life_ms()
  local level = redis.call('ZSCORE', prefix .. ':shares', user)
  local use = (level and 2 ^ (to_number(level) - age) or 0) + amount
  if use < LEAST_USE then
    redis.call('ZREM', prefix .. ':shares', user)
  else
    redis.call('ZADD', prefix .. ':shares', string.format('%.17g', math.log(use) / LOG2 + age), user)
  end
  rerank(user)
end

local function dominant_share(centicpus, memory_mb, gpus)
  local share = 0
  local cluster = redis.call('HMGET', prefix .. ':cluster', 'centicpus', 'memory_mb', 'gpus')
  for i, ask in ipairs({ centicpus, memory_mb, gpus }) do
    local all = tonumber(cluster[i] or 0)
    if all > 0 then share = math.max(share, ask / all) end
  end
  return share
end

-- How long jobs of this user and class last, as learned from those that ended; a minute where none has.
local function expected_ms(user, class, timeout_seconds)
  local learned = tonumber(redis.call('HGET', prefix .. ':durations', user .. '|' .. class) or 60000)
  return math.min(learned, timeout_seconds * 1000)
end

local function learn_duration(user, class, ms)
  local field = user .. '|' .. class
  local before = tonumber(redis.call('HGET', prefix .. ':durations', field) or ms)
  redis.call('HSET', prefix .. ':durations', field, math.floor(before + (ms - before) / 8))
end

-- The last run times stand beside it: they say how much one may differ from another.
local function keep_run_time(user, class, ms)
  local key = prefix .. ':run_times:' .. user .. '|' .. class
  redis.call('LPUSH', key, ms)
  redis.call('LTRIM', key, 0, 63)
end

-- Whose use a job adds to: that of who stands in line for it; where all users share one line, its user's.
local function account_of(user, bucket) return bucket and bucket ~= '*' and bucket or user end

local function groups_of(class, bucket, extras)
  local groups = { 'class/' .. class }
  if bucket ~= '*' then
    groups[2] = 'user/' .. bucket
    groups[3] = groups[2] .. '/class/' .. class
  end
  for _, group in ipairs(extras and extras.q or {}) do groups[#groups + 1] = group end
  return groups
end

local function quota_of(group)
  local quota = redis.call('HGET', prefix .. ':quotas', group)
  if not quota and string.sub(group, 1, 5) == 'user/' then
    quota = redis.call('HGET', prefix .. ':quotas', (string.gsub(group, '^user/[^/]+', 'user/*')))
  end
  return quota and cjson.decode(quota)
end

local function is_within(group, quota, centicpus, memory_mb, gpus)
  local tally = redis.call('HMGET', prefix .. ':tally', group .. '|running', group .. '|centicpus', group .. '|memory_mb', group .. '|gpus')
  local function holds(i, ask, most) return not most or tonumber(tally[i] or 0) + ask <= most end
  return holds(1, 1, quota.max_running) and holds(2, centicpus, quota.max_cpus and math.floor(quota.max_cpus * 100 + 0.5))
    and holds(3, memory_mb, quota.max_memory_mb) and holds(4, gpus, quota.max_gpus)
end

-- Returns a function that tells whether no quota holds back one more job of this size. Each quota is read once for all that it is asked.
local function judge_quotas(class)
  local quotas = {}
  return function(bucket, extras, centicpus, memory_mb, gpus)
    for _, group in ipairs(groups_of(class, bucket, extras)) do
      if quotas[group] == nil then quotas[group] = quota_of(group) or false end
      if quotas[group] and not is_within(group, quotas[group], centicpus, memory_mb, gpus) then return false end
    end
    return true
  end
end

-- What a job is to its groups: pending (+1 or -1), or running with what it has reserved. Returns the groups and the amounts.
local function share_of(id, pending, running)
  local job = redis.call('HMGET', job_key(id), 'class', 'user', 'bucket', 'shape')
  local centicpus, memory_mb, _, extras = shape_parts(job[4])
  local gpus = extras and extras.g and extras.g[1] or 0
  return groups_of(job[1], job[3] or job[2], extras), {
    pending = pending, running = running,
    centicpus = running * centicpus, memory_mb = running * memory_mb, gpus = running * gpus,
  }
end

-- `tally`: its key under the prefix.
local function add_to_tally(tally, group, amounts)
  for field, amount in pairs(amounts) do
    if amount ~= 0 and redis.call('HINCRBY', prefix .. tally, group .. '|' .. field, amount) == 0 then
      redis.call('HDEL', prefix .. tally, group .. '|' .. field)
    end
  end
end

-- While a recount is under way, what it has counted already is kept right as well (see recount.lua).
local function count_job(id, pending, running)
  local groups, amounts = share_of(id, pending, running)
  local up_to = redis.call('HGET', prefix .. ':recount', 'up_to')
  for _, group in ipairs(groups) do
    add_to_tally(':tally', group, amounts)
    if up_to and id <= up_to then add_to_tally(':recount:tally', group, amounts) end
  end
end
