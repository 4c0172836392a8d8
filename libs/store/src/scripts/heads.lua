-- Of each class, the first few jobs in the order of the pick that no quota holds back: whose turn it is, whether there is room or not.
-- Reads only, and looks at so many shapes of a class at the most. ARGV: prefix, shapes, jobs, class, class, …
-- Returns {class, id, bucket, shape, priority, created_at, its user's rank, …} flat.
local out = {}
local function add_heads(class)
  local checks, found = 0, 0
  local quotas_allow = judge_quotas(class)
  for _, bucket in ipairs(redis.call('ZRANGE', prefix .. ':eligible:' .. class, 0, ARGV[2])) do
    for _, shape in ipairs(redis.call('ZRANGE', prefix .. ':shapes:' .. class .. ':' .. bucket, 0, ARGV[2])) do
      if found >= tonumber(ARGV[3]) or checks >= tonumber(ARGV[2]) then return end
      checks = checks + 1
      local centicpus, memory_mb, _, extras = shape_parts(shape)
      if quotas_allow(bucket, extras, centicpus, memory_mb, extras and extras.g and extras.g[1] or 0) then
        local id = redis.call('ZRANGE', queue_key(class, bucket, shape), 0, 0)[1]
        local job = redis.call('HMGET', job_key(id), 'priority', 'created_at', 'user')
        for _, value in ipairs({ class, id, bucket, shape, job[1], job[2], rank_of(account_of(job[3], bucket)) }) do out[#out + 1] = value end
        found = found + 1
      end
    end
  end
end
for i = 4, #ARGV do add_heads(ARGV[i]) end
return out
