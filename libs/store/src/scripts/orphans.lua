-- The running jobs of an engine that the worker may take over. ARGV: prefix, engine, worker, silent in ms. Returns ids.
local at, out = now_ms(), {}
for _, id in ipairs(redis.call('SMEMBERS', prefix .. ':engine:' .. ARGV[2] .. ':running')) do
  local job = redis.call('HMGET', job_key(id), 'state', 'owner')
  if job[1] == 'running' and job[2] ~= ARGV[3] and is_adoptable(id, job[2], ARGV[2], at, tonumber(ARGV[4])) then
    out[#out + 1] = id
  end
end
return out
