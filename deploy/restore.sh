#!/usr/bin/env bash
# Replaces all that Redis holds by what deploy/backup.sh wrote. The API and the workers are stopped meanwhile.
#
# Usage: deploy/restore.sh FILE
set -euo pipefail
file=$(realpath "${1:?Usage: deploy/restore.sh FILE}")
cd "$(dirname "$0")/.."
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi

# Redis's own start gives the files to its account.
tar -tf "$file" appendonlydir/appendonly.aof.manifest >/dev/null
"${compose[@]}" stop worker api redis
"${compose[@]}" run --rm --no-deps -T --entrypoint sh redis \
  -c 'rm -rf /data/appendonlydir && tar -C /data --no-same-owner --no-same-permissions -x' <"$file"
"${compose[@]}" start redis
"${compose[@]}" start api worker
