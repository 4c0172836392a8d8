-- A user's files are about to be used.
-- ARGV: prefix, user, then the files. Returns those that are missing; then none was touched.
return take_files(ARGV[2], nil, ARGV, 3)
