-- Notes that a job is in the archive, whoever removed it. ARGV: prefix, id.
note_newest_archived(ARGV[2])
