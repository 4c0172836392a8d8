#!/usr/bin/env bash
# Writes all that Redis holds into one tar file, while everything runs: records, logs, events, queues.
#
# Usage: deploy/backup.sh FILE
# Redis keeps a base file and the writes since then. While they are copied no new base may be begun; a last write that is
# copied half is left out by Redis when it loads. The settings of the compose project (COMPOSE_PROJECT_NAME, .env) hold here too.
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
tar -tf "$file.part" appendonlydir/appendonly.aof.manifest >/dev/null
mv "$file.part" "$file"
echo "wrote $file, $(wc -c <"$file") bytes. It holds commands, environments and output of jobs: keep it as a secret."
