-- One step of a recount of what each group of jobs holds, over jobs that are pending or run, in the order of their ids. A second tally grows
-- beside the first. `recount` says up to which id it has come: `count_job` counts every change to such a job in both tallies, and the
-- others are still to be counted. So the second one is exact at each moment, however long the walk takes, whoever does the steps, and
-- whatever happens meanwhile. At the end it takes the first one's place. On the way, jobs that run are put into their engine's set.
-- ARGV: prefix, jobs a step. Returns {'going'}, or {'done', field, what it said, what is true, …} with up to 50 fields that were wrong.
local limit, state, count = ARGV[2], prefix .. ':recount', 0
local from = redis.call('HGET', state, 'up_to') or ''
local lists, up_to = {}, nil
for i, name in ipairs({ 'pending', 'running' }) do
  lists[i] = redis.call('ZRANGEBYLEX', prefix .. ':jobs:state:' .. name, from == '' and '-' or '(' .. from, '+', 'LIMIT', 0, limit)
  local last = #lists[i] == tonumber(limit) and lists[i][#lists[i]]
  if last and (not up_to or last < up_to) then up_to = last end
end
local sums = {}
for i, ids in ipairs(lists) do
  for _, id in ipairs(ids) do
    if not up_to or id <= up_to then
      local groups, amounts = share_of(id, i == 1 and 1 or 0, i == 2 and 1 or 0)
      for _, group in ipairs(groups) do
        sums[group] = sums[group] or {}
        for field, amount in pairs(amounts) do sums[group][field] = (sums[group][field] or 0) + amount end
      end
      if i == 2 then redis.call('SADD', prefix .. ':engine:' .. redis.call('HGET', job_key(id), 'engine') .. ':running', id) end
    end
  end
end
for group, amounts in pairs(sums) do add_to_tally(':recount:tally', group, amounts) end
if up_to then
  redis.call('HSET', state, 'up_to', up_to)
  return { 'going' }
end

local function read(key)
  local flat, fields = redis.call('HGETALL', prefix .. key), {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end
local said, is, out = read(':tally'), read(':recount:tally'), { 'done' }
local function note(field)
  if count >= 50 or said[field] == is[field] then return end
  count = count + 1
  out[#out + 1] = field
  out[#out + 1] = said[field] or '0'
  out[#out + 1] = is[field] or '0'
end
for field in pairs(is) do note(field) end
for field in pairs(said) do if not is[field] then note(field) end end
redis.call('DEL', prefix .. ':tally', state)
if next(is) then redis.call('RENAME', prefix .. ':recount:tally', prefix .. ':tally') end
redis.call('DEL', prefix .. ':recount:tally')
if count > 0 then
  for _, class in ipairs(redis.call('SMEMBERS', prefix .. ':classes')) do wake_hungry(class, 4) end
end
return out
