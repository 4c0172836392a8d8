-- ARGV: prefix, id. Returns what `cancel_job` does.
return cancel_job(ARGV[2], now_ms())
