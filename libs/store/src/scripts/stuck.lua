-- For each class, a job that could go into BullMQ now: the window has room for it and for all that go before it. Where the caller
-- names one that it saw before and that still could, it is that one again. So the caller measures by its own clock how long a job
-- has been kept waiting by nothing but the relay; a job's own times do not tell, as it may come back from a back-off at any age.
-- Reads only. ARGV: prefix, window, then class, id seen before or '', … Returns an id or '' for each.
local out = {}
for i = 3, #ARGV, 2 do
  local backlog = prefix .. ':backlog:' .. ARGV[i]
  local room = tonumber(ARGV[2]) - redis.call('ZCARD', prefix .. ':dispatched:' .. ARGV[i])
  local rank = ARGV[i + 1] ~= '' and redis.call('ZRANK', backlog, ARGV[i + 1])
  if rank and rank < room then
    out[#out + 1] = ARGV[i + 1]
  else
    out[#out + 1] = room > 0 and redis.call('ZRANGE', backlog, 0, 0)[1] or ''
  end
end
return out
