-- Recounts what the running jobs of one engine have reserved, from their records, and mends the ledger where it says something else. One
-- engine runs tens of jobs, so it is done in one step.
-- ARGV: prefix, engine. Returns {field, what it said, what is true, …}: centicpus, memory_mb, gpus, and a GPU's uuid for its holders.
local engine, out = ARGV[2], {}
local running = prefix .. ':engine:' .. engine .. ':running'
local is = { centicpus = 0, memory_mb = 0, gpus = 0 }
local holders = {}
for _, id in ipairs(redis.call('SMEMBERS', running)) do
  local job = redis.call('HMGET', job_key(id), 'state', 'engine', 'centicpus', 'memory_mb', 'gpu_uuids', 'shape')
  if job[1] == 'running' and job[2] == engine then
    is.centicpus, is.memory_mb = is.centicpus + tonumber(job[3]), is.memory_mb + tonumber(job[4])
    local _, _, _, extras = shape_parts(job[6])
    for uuid in string.gmatch(job[5] or '', '[^,]+') do
      if not holders[uuid] then is.gpus = is.gpus + 1 end
      holders[uuid] = holders[uuid] or {}
      table.insert(holders[uuid], id .. '=' .. string.format('%d', extras.g[3]) .. ';')
    end
  else
    redis.call('SREM', running, id)
  end
end

local function note(field, said, true_value)
  out[#out + 1] = field
  out[#out + 1] = said
  out[#out + 1] = true_value
end
local function sorted(text)
  local parts = {}
  for part in string.gmatch(text, '[^;]+;') do parts[#parts + 1] = part end
  table.sort(parts)
  return table.concat(parts)
end
local ledger, gpus = prefix .. ':engine:' .. engine .. ':reserved', prefix .. ':engine:' .. engine .. ':gpus'
for _, field in ipairs({ 'centicpus', 'memory_mb', 'gpus' }) do
  local said = redis.call('HGET', ledger, field) or '0'
  if tonumber(said) ~= is[field] then
    note(field, said, string.format('%d', is[field]))
    redis.call('HSET', ledger, field, string.format('%d', is[field]))
  end
end
for uuid, list in pairs(holders) do
  local said, all = redis.call('HGET', gpus, uuid) or '', sorted(table.concat(list))
  if sorted(said) ~= all then
    note(uuid, said, all)
    redis.call('HSET', gpus, uuid, all)
  end
end
for _, uuid in ipairs(redis.call('HKEYS', gpus)) do
  if not holders[uuid] then
    note(uuid, redis.call('HGET', gpus, uuid), '')
    redis.call('HDEL', gpus, uuid)
  end
end
if #out > 0 then redis.call('PUBLISH', prefix .. ':engine:' .. engine, 'room') end
return out
