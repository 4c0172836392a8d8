#!/usr/bin/env bash
# Makes sure that the engine has the images which the Dockerfile, the compose file and the first job start from.
#
# Each is pulled where an image registry answers. Where none does, a stand-in of the same name is made from Debian and npm
# packages: good for trying things out on a machine without a registry, not for production. Images that are there stay as
# they are. Stand-ins need root on Debian or Ubuntu, npm, and about two minutes.
#
# Usage: deploy/base-images.sh          NO_PULL=1: do not ask a registry at all
set -euo pipefail

NODE_IMAGE=node:24-bookworm-slim
REDIS_IMAGE=redis:7-bookworm
JOB_IMAGE=busybox:stable
PULL_SECONDS=${PULL_SECONDS:-120}

work=$(mktemp -d)
cleanup() { rm -rf "$work"; }
trap cleanup EXIT

say() { echo "base images: $*"; }
is_present() { docker image inspect "$1" >/dev/null 2>&1; }

# One failure is enough: a registry that does not answer once is not asked again.
pull=${NO_PULL:+no}
pull_image() {
  [ "$pull" != no ] || return 1
  timeout "$PULL_SECONDS" docker pull -q "$1" >/dev/null 2>&1 && return
  say 'no image registry answers; making stand-ins'
  pull=no
  return 1
}

# Debian packages that the stand-ins are made with.
need_packages() {
  command -v mmdebstrap >/dev/null && dpkg -s busybox-static >/dev/null 2>&1 && return
  say 'installing mmdebstrap and busybox-static'
  apt-get update -q >/dev/null
  apt-get install -y -q --no-install-recommends mmdebstrap busybox-static >/dev/null
}

# A minimal Debian that trusts the same certificate authorities as this machine.
make_debian() {
  is_present berth-debian:bookworm && return
  say 'making a minimal Debian'
  local own=/usr/local/share/ca-certificates hooks=()
  if compgen -G "$own/*.crt" >/dev/null; then
    hooks=("--customize-hook=copy-in $own /usr/local/share" '--customize-hook=chroot "$1" update-ca-certificates')
  fi
  mmdebstrap --quiet --variant=minbase --include=ca-certificates "${hooks[@]}" bookworm - 2>/dev/null |
    docker import - berth-debian:bookworm >/dev/null
}

# npm carries the node program too. Accounts and folders are those of the public image.
make_node() {
  make_debian
  say "making a stand-in for $NODE_IMAGE"
  local arch folder=$work/node
  arch=$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
  mkdir -p "$folder/program" "$folder/npm"
  (cd "$folder" && npm pack --silent "node-linux-$arch@24" npm@11 >/dev/null)
  tar -xzf "$folder"/node-linux-*.tgz -C "$folder/program" --strip-components=1
  tar -xzf "$folder"/npm-11*.tgz -C "$folder/npm" --strip-components=1
  cp "$folder/program/bin/node" "$folder/node"
  rm -rf "$folder/program" "$folder"/*.tgz
  printf '%s\n' \
    'FROM berth-debian:bookworm' \
    'COPY node /usr/local/bin/node' \
    'COPY npm /usr/local/lib/node_modules/npm' \
    'RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx && groupadd --gid 1000 node && useradd --uid 1000 --gid node --create-home node' \
    'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' \
    'CMD ["node"]' >"$folder/Dockerfile"
  docker build -q -t "$NODE_IMAGE" "$folder" >/dev/null
}

# Debian's own Redis 7, which like the public image gives its folder to its own account and becomes it.
make_redis() {
  make_debian
  say "making a stand-in for $REDIS_IMAGE"
  printf '%s\n' \
    'FROM berth-debian:bookworm' \
    'RUN groupadd --system --gid 999 redis && useradd --system --uid 999 --gid redis redis && apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* && install -d -o redis -g redis /data' \
    'VOLUME /data' \
    'WORKDIR /data' \
    'ENTRYPOINT ["sh", "-c", "[ $(id -u) != 0 ] || { chown -R redis:redis . && exec setpriv --reuid=redis --regid=redis --clear-groups -- \"$0\" \"$@\"; }; exec \"$0\" \"$@\""]' \
    'CMD ["redis-server"]' | docker build -q -t "$REDIS_IMAGE" - >/dev/null
}

make_busybox() {
  say "making a stand-in for $JOB_IMAGE"
  local folder=$work/busybox applet
  mkdir -p "$folder/bin" "$folder/etc" "$folder/root"
  install -d -m 1777 "$folder/tmp"
  cp "$(command -v busybox)" "$folder/bin/busybox"
  for applet in $("$folder/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$folder/bin/$applet"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$folder/etc/passwd"
  tar -C "$folder" --owner=0 --group=0 -c . | docker import -c 'CMD ["sh"]' - "$JOB_IMAGE" >/dev/null
}

# Pulls the first argument, or makes it by the second.
ensure() {
  if is_present "$1"; then
    say "$1 is there"
  elif pull_image "$1"; then
    say "$1 was pulled"
  else
    need_packages
    "$2"
  fi
}

docker version >/dev/null || { echo 'No Docker engine answers. Start it, or set DOCKER_HOST.' >&2; exit 1; }
ensure "$JOB_IMAGE" make_busybox
ensure "$NODE_IMAGE" make_node
ensure "$REDIS_IMAGE" make_redis
