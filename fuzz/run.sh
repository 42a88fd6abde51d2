#!/usr/bin/env bash
# Seeks inputs that break the properties in rust/fuzz, each target for so many seconds; what it finds worth keeping
# joins the corpus, which `cargo test` replays. Needs a nightly toolchain and cargo-fuzz.
# Usage: fuzz/run.sh [SECONDS [TARGET...]]
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-60}
targets=("${@:2}")
((${#targets[@]})) || targets=(request response split frames headers profile)
MOST_KEPT=64

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
  echo "SKIPPED: no fuzzing here: rustup toolchain install nightly; cargo install cargo-fuzz" >&2
  exit 0
fi
for target in "${targets[@]}"; do
  found=$(mktemp -d)
  cargo +nightly fuzz run "$target" "$found" "corpus/$target" -- \
    -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=1024 -print_final_stats=1
  # The fewest inputs that reach all that was reached, in the place of those found before; beyond so many, none: a corpus
  # is read by people, too. Inputs with a name of their own stay.
  kept=$(mktemp -d)
  cargo +nightly fuzz run "$target" "$kept" "corpus/$target" "$found" -- -merge=1 >/dev/null
  find "corpus/$target" -type f -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
  find "$kept" -type f -size -2k | sort | sed -n "1,${MOST_KEPT}p" | xargs -r -I{} cp {} "corpus/$target/"
  rm -rf "$found" "$kept"
done
