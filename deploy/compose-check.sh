#!/usr/bin/env bash
# Proves docker-compose.yml on this machine: builds the images, brings everything up under a name of its own, runs jobs, scales
# to four workers, kills each of its processes, restarts Redis, backs up and restores, takes everything down again and looks that
# nothing is left. Touches no running Berth.
#
# Usage: deploy/compose-check.sh
# Needs bash, curl, a Docker engine and compose (v2, or docker-compose from 1.29 on). Where no image registry answers it also
# needs what deploy/base-images.sh says. What stays is the base images and the build cache, so that the next run is quick.
set -euo pipefail
cd "$(dirname "$0")/.."

export COMPOSE_PROJECT_NAME=berth-check-$$
export BERTH_PREFIX=$COMPOSE_PROJECT_NAME BERTH_TAG=$COMPOSE_PROJECT_NAME
# Port 0 is any free one. Two CPUs, so that "never more than the machine holds" can be seen on a machine of any size.
export BERTH_PORT=0 BERTH_CPUS=2
WORKERS=4
JOBS=10
work=$(mktemp -d)
sampler=

if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
compose() { "${compose[@]}" "$@"; }
containers_of() { docker ps --no-trunc --quiet "${@:2}" --filter "label=$1"; }
# Known once a worker has named the installation.
jobs_label=
project_label=com.docker.compose.project=$COMPOSE_PROJECT_NAME

say() { printf '\n── %s\n' "$*"; }
fail() {
  echo "FAILED: $*" >&2
  compose logs --tail 40 >&2 2>/dev/null || true
  exit 1
}

# Runs a step and says how long it took.
timed() {
  local name=$1 began=$EPOCHREALTIME
  shift
  "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "$name"; }
  awk -v name="$name" -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "   %-44s %6.1f s\n", name, b - a }'
}

# Tries a command four times a second for up to $1 seconds.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.25
  done
}

take_down() {
  compose down --volumes --remove-orphans --timeout 30
  docker image rm "berth-api:$BERTH_TAG" "berth-worker:$BERTH_TAG" 2>/dev/null || true
}

cleanup() {
  [ -z "$sampler" ] || kill "$sampler" 2>/dev/null || true
  take_down >/dev/null 2>&1 || true
  [ -z "$jobs_label" ] || containers_of "$jobs_label" --all | xargs -r docker rm --force >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

api() { curl --silent --show-error --fail-with-body "$@"; }
# The first field of this name in a JSON text on stdin.
field() { grep -o "\"$1\": *[^,}]*" | head -1 | sed 's/^[^:]*: *//; s/"//g'; }
submit() { api "$base/v1/jobs" -H 'content-type: application/json' -d "$1" | field job_id; }
all_healthy() { [ "$(docker ps --quiet --filter "label=$project_label" --filter health=healthy | wc -l)" -eq "$1" ]; }

up() {
  compose up -d --no-build --scale "worker=$1"
  until_true 90 all_healthy $(($1 + 2))
}

say 'images'
timed 'base images' deploy/base-images.sh
timed 'build' compose build

say 'up'
timed 'up, healthy' up 1
jobs_label=berth.installation=$(compose exec -T redis redis-cli get "$BERTH_PREFIX:installation")
address=$(compose port api 8000)
base=http://$address
case $address in 127.0.0.1:*) ;; *) fail "the API is published on $address, not on 127.0.0.1" ;; esac
[ -z "$(docker port "$(containers_of "$project_label" --filter name=worker)")" ] || fail 'a worker publishes a port'
docker inspect --format '{{range .Mounts}}{{.Destination}} {{end}}' "$(containers_of "$project_label" --filter name=api)" |
  grep -q docker.sock && fail 'the API has the socket of the engine'
echo "   the API answers on $base, and on loopback only"
[ "$(curl -s -o "$work/out" -w '%{http_code}' -H 'Host: rebound.example' "$base/v1/jobs")" = 421 ] ||
  fail 'the API answers to a name that is not of this machine'

say 'one job'
id=$(submit '{"command": "for i in 1 2 3; do echo line $i; sleep 1; done; exit 3", "name": "compose-check"}')
[ -n "$id" ] || fail 'the job was not accepted'
timed 'followed its output to the end' api --output "$work/log" "$base/v1/jobs/$id/logs?follow=true"
[ "$(cat "$work/log")" = "$(printf 'line 1\nline 2\nline 3')" ] || fail "its output is not what it wrote: $(cat "$work/log")"
api "$base/v1/jobs/$id?wait=30" >"$work/job"
[ "$(field state <"$work/job") $(field exit_code <"$work/job")" = 'failed 3' ] || fail "not its outcome: $(cat "$work/job")"
echo '   its output and its exit code came back'
api "$base/dashboard" >"$work/page"
grep -q '<title>Berth</title>' "$work/page" || fail 'there is no dashboard'
! grep -Eq '(href|src)="(https?:)?//' "$work/page" || fail 'the dashboard loads something from elsewhere'
script=$(grep -o 'src="static/[^"]*' "$work/page" | head -1)
api --output "$work/out" "$base/dashboard/${script#src=\"}" || fail "the dashboard's ${script#src=\"} is not there"
echo '   the dashboard is there, and loads nothing from elsewhere'

say 'a file in, a file out'
head -c 300000 /dev/urandom >"$work/in.bin"
file_id=$(api --upload-file "$work/in.bin" "$base/v1/files?name=in.bin" | field file_id)
[ -n "$file_id" ] || fail 'the file was not taken'
filed=$(submit "{\"command\": \"cat in.bin in.bin > out\", \"inputs\": [{\"file_id\": \"$file_id\", \"path\": \"in.bin\"}], \"outputs\": [\"out\"]}")
[ "$(api "$base/v1/jobs/$filed?wait=30" | field state)" = completed ] || fail 'the job with files failed'
has_artifact() { api --output "$work/artifact" "$base/v1/jobs/$filed/artifacts/out" && cat "$work/in.bin" "$work/in.bin" | cmp - "$work/artifact"; }
timed 'its artifact is what it wrote' has_artifact

say "$WORKERS workers"
timed "scale to $WORKERS" up "$WORKERS"
all_known() { [ "$(api "$base/v1/nodes" | grep -o '"worker":' | wc -l)" -ge "$WORKERS" ]; }
until_true 30 all_known || fail "the API does not know $WORKERS workers: $(api "$base/v1/nodes")"
(while sleep 0.1; do containers_of "$jobs_label" | wc -l; done) >"$work/seen" &
sampler=$!
ids=()
run_jobs() {
  for _ in $(seq "$JOBS"); do ids+=("$(submit '{"command": "sleep 2", "cpus": 1}')"); done
  for id in "${ids[@]}"; do
    [ "$(api "$base/v1/jobs/$id?wait=60" | field state)" = completed ] || return 1
  done
}
timed "$JOBS jobs of one CPU and two seconds" run_jobs
kill "$sampler"
wait "$sampler" 2>/dev/null || true
sampler=
most=$(sort -n "$work/seen" | tail -1)
echo "   $WORKERS workers, $BERTH_CPUS CPUs: at most $most containers at a time in $(wc -l <"$work/seen") looks"
[ "$most" -le "$BERTH_CPUS" ] || fail 'the machine was over-allocated'
[ "$most" -eq "$BERTH_CPUS" ] || fail 'the machine was never full'

say 'what a job with a way out can reach'
redis_address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' \
  "$(containers_of "$project_label" --filter name=redis)")
docker run --rm --network "${COMPOSE_PROJECT_NAME}_data" busybox:stable nc -w 2 "$redis_address" 6379 </dev/null ||
  fail 'Redis does not answer on its own network'
probe=$(submit "{\"network\": \"egress\", \"cpus\": 0.5, \"command\": \"nc -w 2 $redis_address 6379 </dev/null && echo open || echo closed\"}")
[ "$(api "$base/v1/jobs/$probe?wait=30" | field stdout)" = 'closed\n' ] || fail 'a job reaches Redis'
echo '   it does not reach Redis'

# As a process that dies: the engine takes `docker kill` for a person's wish and leaves the container down. -1 is everything in the
# container but its init, which then ends too.
kill_inside() { docker exec --user "$2" "$1" sh -c 'kill -9 -1' >/dev/null 2>&1 || true; }
restarts_of() { docker inspect --format '{{.RestartCount}}' "$1"; }
came_back() { [ "$(restarts_of "$1")" -gt "$2" ] && [ "$(docker inspect --format '{{.State.Running}}' "$1")" = true ]; }
# $1: service, $2: the account of its process.
kill_service() {
  local container before
  for container in $(containers_of "$project_label" --filter "label=com.docker.compose.service=$1"); do
    before=$(restarts_of "$container")
    kill_inside "$container" "$2"
    until_true 30 came_back "$container" "$before" || fail "$1 was killed and did not come back"
  done
  # The API is published on another port each time, as any free one was asked for.
  until_true 60 find_api || fail "the API does not answer after $1 was killed"
}
find_api() {
  address=$(compose port api 8000) && base=http://$address
  api "$base/health"
}

say 'every process is killed while a job runs'
timed 'back to one worker' up 1
until_true 30 find_api || fail 'the API is not back'
survivor=$(submit '{"command": "echo begin; sleep 25; echo end", "cpus": 0.5}')
is_running() { [ "$(api "$base/v1/jobs/$survivor" | field state)" = running ]; }
until_true 30 is_running || fail 'the job does not run'
timed 'reaper killed, and back' kill_service reaper 0
timed 'worker killed, and back' kill_service worker 0
timed 'API killed, and back' kill_service api node
find_api >/dev/null
timed 'Redis killed, and back' kill_service redis redis
find_api >/dev/null
api "$base/v1/jobs/$survivor?wait=60" >"$work/job"
[ "$(field state <"$work/job") $(field exit_code <"$work/job")" = 'completed 0' ] || fail "not its outcome: $(cat "$work/job")"
[ "$(api "$base/v1/jobs/$survivor/logs")" = "$(printf 'begin\nend')" ] || fail 'its output is not what it wrote once'
ends=$(api "$base/v1/jobs/$survivor/events" | grep -Eo '"type": *"(completed|failed|cancelled)"' | wc -l)
[ "$ends" -eq 1 ] || fail "the job ended $ends times"
echo '   each came back by itself; the job ran once, and ended once'

say 'the reaper alone, past a deadline'
compose stop worker >"$work/out" 2>&1
late=$(docker run -d --network none --label "$jobs_label" --label berth.job=late --label berth.epoch=1 --label berth.attempt=1 \
  --label "berth.deadline=$(($(date +%s) + 1))" busybox:stable sleep 300)
has_ended() { [ "$(docker inspect --format '{{.State.Status}}' "$late")" = exited ]; }
timed 'killed within 15 s of its deadline' until_true 16 has_ended
docker rm --force "$late" >/dev/null
compose start worker >"$work/out" 2>&1
until_true 60 all_healthy 3 || fail 'the worker is not back'

say 'Redis restarts'
timed 'restart' compose restart redis
until_true 30 api "$base/health" || fail 'the API did not find Redis again'
[ "$(api "$base/v1/jobs/${ids[0]}" | field state)" = completed ] || fail 'a job was lost'
id=$(submit '{"command": ["true"]}')
[ "$(api "$base/v1/jobs/$id?wait=30" | field state)" = completed ] || fail 'no job runs after the restart'
echo '   the jobs of before are there, and new ones run'

say 'backup and restore'
timed 'backup' deploy/backup.sh "$work/berth.tar"
later=$(submit '{"command": ["true"]}')
[ "$(api "$base/v1/jobs/$later?wait=30" | field state)" = completed ] || fail 'no job runs after the backup'
compose exec -T api rm -r /var/lib/berth/files/artifacts
timed 'restore' deploy/restore.sh "$work/berth.tar"
address=$(compose port api 8000)
base=http://$address
until_true 60 api "$base/health" || fail 'the API is not back'
[ "$(api "$base/v1/jobs/$id" | field state)" = completed ] || fail 'a job of before the backup is lost'
[ "$(curl -s -o "$work/out" -w '%{http_code}' "$base/v1/jobs/$later")" = 404 ] || fail 'a job of after the backup is there'
has_artifact || fail 'an artifact of before the backup is lost'
id=$(submit '{"command": ["true"]}')
[ "$(api "$base/v1/jobs/$id?wait=60" | field state)" = completed ] || fail 'no job runs after the restore'
echo '   it holds what it held at the time of the backup, and jobs run'

say 'down'
timed 'down' take_down
[ -z "$(docker ps --all --quiet --filter "label=$project_label")" ] || fail 'containers are left'
[ -z "$(containers_of "$jobs_label" --all)" ] || fail 'containers of jobs are left'
[ -z "$(docker volume ls --quiet --filter "label=$project_label")" ] || fail 'a volume is left'
[ -z "$(docker network ls --quiet --filter "label=$project_label")" ] || fail 'a network is left'
[ -z "$(docker images --quiet "berth-*:$BERTH_TAG")" ] || fail 'images are left'
printf '\nThe compose file works on this machine.\n'
