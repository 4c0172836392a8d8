-- Goes on with what ends have set going (see ends.lua), so much at a time. ARGV: prefix. Returns how many ends are still to be looked at.
judge_dependants(now_ms())
return redis.call('LLEN', prefix .. ':unmet')
