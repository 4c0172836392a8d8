#!/usr/bin/env bash
# Replaces all that Redis holds by what deploy/backup.sh wrote, and puts the files back that are in it. The API and the workers are stopped
# meanwhile.
#
# Usage: deploy/restore.sh FILE
set -euo pipefail
file=$(realpath "${1:?Usage: deploy/restore.sh FILE}")
cd "$(dirname "$0")/.."
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
unpack_in() { "${compose[@]}" run --rm --no-deps -T --entrypoint sh "$1" -c "$2" <"$file"; }

names=$(tar --ignore-zeros -tf "$file")
grep -q '^appendonlydir/appendonly.aof.manifest$' <<<"$names"
"${compose[@]}" stop worker api redis
# Redis's own start gives the files to its account.
unpack_in redis 'rm -rf /data/appendonlydir &&
  tar -C /data --ignore-zeros --no-same-owner --no-same-permissions -x appendonlydir'
# Files of later jobs stay until a sweep finds that no record knows them. Whose files these are is said by the backup alone.
if grep -q '^files/' <<<"$names"; then
  unpack_in api 'rm -rf /var/lib/berth/files/installation && tar -C /var/lib/berth --ignore-zeros -x files'
fi
"${compose[@]}" start redis
"${compose[@]}" start api worker
