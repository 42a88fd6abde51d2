#!/usr/bin/env bash
# The wheel as it is released, under target/wheels. It is compiled twice: the second time the compiler knows which way
# the benchmarks' calls went through the first (profile-guided optimisation), and puts that way in one piece.
#
#   deploy/wheel.sh PYTHON       a Python with maturin, uv and the packages of the benchmarks: make wheel
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
bin=$(dirname "$python")
work=$PWD/target/tuned

host=$(rustc -vV | sed -n 's/^host: //p')
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
profdata=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
[ -x "$profdata" ] || profdata=/usr/lib/llvm-$llvm/bin/llvm-profdata
[ -x "$profdata" ] || { echo "wheel: no llvm-profdata for LLVM $llvm: rustup component add llvm-tools, or install Debian's llvm-$llvm" >&2; exit 1; }

compiled() { # FLAGS FOLDER; with a target, so that the flags are not those of what only runs at build time
  RUSTFLAGS=$1 CARGO_TARGET_DIR=$work "$bin/maturin" build --release --locked --target "$host" --interpreter "$python" --out "$2"
}

rm -rf "$work/counts" "$work/counting" "$work/lib"
compiled "-Cprofile-generate=$work/counts" "$work/counting"
"$bin/uv" pip install --quiet --python "$python" --no-deps --target "$work/lib" "$work"/counting/*.whl
PYTHONPATH=$work/lib:. "$python" -m bench.training
"$profdata" merge -o "$work/calls.profdata" "$work/counts"
compiled "-Cprofile-use=$work/calls.profdata" target/wheels
