#!/bin/sh
# Suites that others wrote, each first without a plane, so that a known failure of the peer is not ours.
# Usage: tests/suites/run.sh PYTHON
set -u
cd "$(dirname "$0")/../.."
python=$1
tools=.peers/go
failed=0

if ! command -v go >/dev/null; then
    echo "SKIPPED: no go here, so no suites: install Go 1.25 or newer"
    exit 0
fi

# tool PACKAGE NAME: fetches a tool once; says so when it cannot be had.
tool() {
    [ -x "$tools/$2" ] && return 0
    mkdir -p "$tools/new"
    if GOBIN="$PWD/$tools/new" go install "$1@latest" >"$tools/$2.log" 2>&1; then
        mv "$tools/new/"* "$tools/$2"
    else
        echo "SKIPPED: $2 cannot be had: $(tail -n 1 "$tools/$2.log")"
        return 1
    fi
}

# report NAME LOG EXIT-CODE: one line for each suite, and the log of one that failed.
report() {
    if [ "$3" -eq 0 ]; then
        echo "ok      $1: $(tail -n 1 "$2")"
    else
        echo "FAILED  $1"
        tail -n 40 "$2"
        failed=1
    fi
}

if tool connectrpc.com/conformance/cmd/connectconformance connectconformance &&
    tool connectrpc.com/conformance/cmd/referenceserver referenceserver; then
    for plane in direct native; do
        "$tools/connectconformance" --mode server --conf tests/suites/connect.yaml -- \
            "$python" tests/suites/server_behind.py $plane "$tools/referenceserver" >"$tools/connect.log" 2>&1
        report "connectrpc/conformance, server mode, $plane" "$tools/connect.log" $?
    done
fi

if tool google.golang.org/grpc/interop/client interop_client &&
    tool google.golang.org/grpc/interop/server interop_server; then
    for plane in direct native; do
        "$python" tests/suites/interop.py $plane "$tools" >"$tools/interop.log" 2>&1
        report "grpc-go interop, $plane" "$tools/interop.log" $?
    done
fi

if tool github.com/summerwind/h2spec/cmd/h2spec h2spec; then
    "$python" tests/suites/h2spec.py "$tools" >"$tools/h2spec.log" 2>&1
    report "h2spec on the listener" "$tools/h2spec.log" $?
fi

exit $failed
