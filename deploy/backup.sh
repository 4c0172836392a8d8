#!/usr/bin/env bash
# Writes what Berth keeps into one tar file, while everything runs: first all that Redis holds (records, histories, what waits, schedules,
# keys), then the volume of files (uploads, artifacts, logs). Not in it: what is in a bucket (BERTH_FILES) or in PostgreSQL (DATABASE_URL).
#
# Usage: deploy/backup.sh FILE
# Redis keeps a base file and the writes since then. While they are copied no new base may be begun; a last write that is
# copied half is left out by Redis when it loads. Files come second, so that all are there that the records know of; they never change,
# but one may go meanwhile. The settings of the compose project (COMPOSE_PROJECT_NAME, .env) hold here too.
set -euo pipefail
file=$(realpath -m "${1:?Usage: deploy/backup.sh FILE}")
cd "$(dirname "$0")/.."
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi

umask 077
"${compose[@]}" exec -T redis sh -c '
  set -e
  redis-cli config set auto-aof-rewrite-percentage 0 >/dev/null
  trap "redis-cli config set auto-aof-rewrite-percentage 100 >/dev/null" EXIT
  while redis-cli info persistence | grep -q -E "aof_rewrite_(in_progress|scheduled):1"; do sleep 0.2; done
  tar -C /data --warning=no-file-changed -c appendonlydir || [ $? -eq 1 ]
' >"$file.part"
# Two archives, one behind the other: tar reads both with --ignore-zeros.
"${compose[@]}" run --rm --no-deps -T --entrypoint sh api -c '
  cd /var/lib/berth
  [ ! -d files ] || tar --exclude=files/.incoming --warning=no-file-removed -c files || [ $? -eq 1 ]
' </dev/null >>"$file.part"
tar --ignore-zeros -tf "$file.part" | grep '^appendonlydir/appendonly.aof.manifest$' >/dev/null
mv "$file.part" "$file"
echo "wrote $file, $(wc -c <"$file") bytes: what Redis holds and the volume of files, without a bucket's files and PostgreSQL."
echo 'It holds commands, environments, files and output of jobs: keep it as a secret.'
