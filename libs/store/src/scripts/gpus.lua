-- Shared by every script: who holds which GPU of an engine.
--   engine:<engine>:gpus  hash: uuid -> holders, as `<job>=<MB>;…`, where 0 MB is all of it. The pure function is pickGpus in placement.ts.

-- `ask`: count, type (lower case), MB of each or 0. `gpus`: what the machine has, each with `u`uid, `n`ames, `m`emory.
-- Returns the uuids, or nil where there are too few.
local function pick_gpus(engine, ask, gpus)
  local count, kind, slice = ask[1], ask[2], ask[3]
  local free = {}
  for i, gpu in ipairs(gpus) do
    local matches = kind == 'any'
    for _, name in ipairs(gpu.n) do matches = matches or name == kind end
    if matches then
      local holders = redis.call('HGET', prefix .. ':engine:' .. engine .. ':gpus', gpu.u) or ''
      local left = gpu.m
      for mb in string.gmatch(holders, '=(%d+);') do left = left - (mb == '0' and gpu.m or tonumber(mb)) end
      if (slice == 0 and holders == '') or (slice > 0 and left >= slice) then
        free[#free + 1] = { uuid = gpu.u, left = left, place = i }
      end
    end
  end
  if #free < count then return nil end
  table.sort(free, function(a, b) return a.left < b.left or (a.left == b.left and a.place < b.place) end)
  local uuids = {}
  for i = 1, count do uuids[i] = free[i].uuid end
  return uuids
end

-- The ledger counts the GPUs that anyone holds.
local function hold_gpus(id, engine, uuids, slice)
  local key = prefix .. ':engine:' .. engine .. ':gpus'
  for _, uuid in ipairs(uuids) do
    local holders = redis.call('HGET', key, uuid) or ''
    if holders == '' then redis.call('HINCRBY', prefix .. ':engine:' .. engine .. ':reserved', 'gpus', 1) end
    redis.call('HSET', key, uuid, holders .. id .. '=' .. string.format('%d', slice) .. ';')
  end
end

local function free_gpus(id, engine, uuids)
  local key = prefix .. ':engine:' .. engine .. ':gpus'
  for uuid in string.gmatch(uuids, '[^,]+') do
    local left = {}
    for holder, mb in string.gmatch(redis.call('HGET', key, uuid) or '', '([^=;]+)=(%d+);') do
      if holder ~= id then left[#left + 1] = holder .. '=' .. mb .. ';' end
    end
    if #left > 0 then
      redis.call('HSET', key, uuid, table.concat(left))
    elseif redis.call('HDEL', key, uuid) == 1 then
      redis.call('HINCRBY', prefix .. ':engine:' .. engine .. ':reserved', 'gpus', -1)
    end
  end
end
