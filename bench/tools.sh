#!/usr/bin/env bash
# Installs what the benchmarks compare with: Debian packages (as root; otherwise says which), and Python peers in
# environments of their own under .peers, because their pins contradict ours. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(nghttp2-client nghttp2-server nghttp2-proxy haproxy nginx-light)
PROGRAMS=(h2load nghttpd nghttpx haproxy nginx)
export PATH="$PATH:/usr/sbin"

absent=()
for program in "${PROGRAMS[@]}"; do command -v "$program" >/dev/null || absent+=("$program"); done
if ((${#absent[@]})); then
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${PACKAGES[@]}" >/dev/null
  else
    echo "bench: not installed: ${absent[*]}; as root: apt-get install ${PACKAGES[*]}" >&2
    echo "bench: without h2load and nghttpd nothing can be measured; the other peers are skipped" >&2
  fi
fi

for peer in envoy sketches whylogs alibi_detect; do
  lock="bench/locks/$peer.txt"
  made=".peers/$peer/.made"
  if [[ -f $made && ! $lock -nt $made ]]; then continue; fi
  .venv/bin/uv venv --quiet --clear --python .venv/bin/python ".peers/$peer"
  if .venv/bin/uv pip sync --quiet --python ".peers/$peer/bin/python" "$lock"; then
    touch "$made"
  else
    echo "bench: $peer cannot be installed here; its rows will say 'skipped'" >&2
  fi
done
