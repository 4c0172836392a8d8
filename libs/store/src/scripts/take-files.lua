-- A user's files are about to be used.
-- ARGV: prefix, user, the job or array that needs them or nothing, then the files. Returns those that are missing; then none was touched.
return take_files(ARGV[2], ARGV[3], ARGV, 4)
