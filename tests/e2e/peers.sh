#!/usr/bin/env bash
# Makes the real servers and clients of the end-to-end tests, each in an environment of its own under .peers, because
# their pins contradict each other. Safe to run again; what is there and current is left alone.
# Needs .venv (make build), node and npm 18 or newer, and about 1.5 GB of disk.
set -euo pipefail
cd "$(dirname "$0")/../.."
LOCKS=tests/e2e/locks

current() { [[ -f .peers/$1/.made && ! $2 -nt .peers/$1/.made ]]; }

for peer in mlserver buf river evidently nannyml frouros datasketches; do
  if current "$peer" "$LOCKS/$peer.txt"; then continue; fi
  echo "test-peers: installing $peer"
  .venv/bin/uv venv --quiet --clear --python .venv/bin/python ".peers/$peer"
  .venv/bin/uv pip sync --quiet --python ".peers/$peer/bin/python" "$LOCKS/$peer.txt"
  touch ".peers/$peer/.made"
done

# Recorded tables with labels, of which only the files are read.
if [[ ! -d .peers/nannyml/nannyml/datasets/data ]]; then
  echo "test-peers: installing nannyml's tables"
  .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --target .peers/nannyml nannyml==0.13.1
fi

if ! command -v npm >/dev/null && [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends nodejs npm >/dev/null
fi
command -v npm >/dev/null || { echo "test-peers: no npm: install Node 18 or newer with npm (Debian: apt-get install nodejs npm)" >&2; exit 1; }
if ! current node tests/e2e/node/package-lock.json; then
  echo "test-peers: installing grpc-js"
  mkdir -p .peers/node
  cp tests/e2e/node/package.json tests/e2e/node/package-lock.json .peers/node/
  npm --prefix .peers/node ci --silent --ignore-scripts --no-audit --no-fund
  touch .peers/node/.made
fi

# The wheel as users get it, and the environments of test_versions.py: the oldest and the newest protobuf it promises.
echo "test-peers: building the wheel"
rm -rf .peers/wheels
VIRTUAL_ENV=.venv .venv/bin/maturin build --release --quiet --out .peers/wheels
for protobuf in 5 7; do
  if [[ ! -x .peers/protobuf$protobuf/bin/python ]]; then
    .venv/bin/uv venv --quiet --clear --python .venv/bin/python ".peers/protobuf$protobuf"
  fi
  .venv/bin/uv pip install --quiet --python ".peers/protobuf$protobuf/bin/python" --reinstall-package pilotfish \
    --constraint "$LOCKS/protobuf$protobuf.txt" .peers/wheels/pilotfish-*.whl
done
