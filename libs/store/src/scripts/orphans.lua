-- The running jobs of an engine that may be taken over, by anyone: those too that the asker owns and does not renew, because an answer to
-- it was lost. ARGV: prefix, engine, silent in ms. Returns ids.
local at, out = now_ms(), {}
for _, id in ipairs(redis.call('SMEMBERS', prefix .. ':engine:' .. ARGV[2] .. ':running')) do
  local job = redis.call('HMGET', job_key(id), 'state', 'owner')
  if job[1] == 'running' and is_adoptable(id, job[2], ARGV[2], at, tonumber(ARGV[3])) then
    out[#out + 1] = id
  end
end
return out
