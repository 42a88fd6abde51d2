#!/bin/sh
# Suites that others wrote, each first without a plane, so that a known failure of the peer is not ours.
# Usage: tests/suites/run.sh PYTHON
set -u
cd "$(dirname "$0")/../.."
python=$1
tools=.peers/go
conformance=v1.0.7
grpc=v1.85.0
h2spec=v2.2.1+incompatible
failed=0

if ! command -v go >/dev/null; then
    echo "SKIPPED: no go here, so no suites: install Go 1.26 or newer"
    exit 0
fi

# tool PACKAGE VERSION NAME: fetches a tool once for each version; says so when it cannot be had.
tool() {
    [ "$(cat "$tools/$3.version" 2>/dev/null)" = "$2" ] && [ -x "$tools/$3" ] && return 0
    rm -rf "$tools/new" && mkdir -p "$tools/new"
    if GOBIN="$PWD/$tools/new" go install "$1@$2" >"$tools/$3.log" 2>&1; then
        mv "$tools/new/"* "$tools/$3" && echo "$2" >"$tools/$3.version"
    else
        echo "SKIPPED: $3 $2 cannot be had: $(tail -n 1 "$tools/$3.log")"
        return 1
    fi
}

# suite NAME COMMAND...: one line for each suite, and the end of the log of one that failed.
suite() {
    name=$1
    shift
    began=$(date +%s)
    if "$@" >"$tools/suite.log" 2>&1; then
        echo "ok      $name ($(($(date +%s) - began)) s): $(grep -E 'passed|expected' "$tools/suite.log" | tail -n 2 | tr '\n' ' ')"
    else
        echo "FAILED  $name"
        grep -v '^INFO' "$tools/suite.log" | tail -n 40
        failed=1
    fi
}

# connect MODE CONFIGURATION ARGUMENT... -- COMMAND...: connectrpc/conformance against a program under test.
connect() {
    mode=$1 configuration=$2
    shift 2
    "$tools/connectconformance" --mode "$mode" --conf "tests/suites/$configuration.yaml" "$@"
}

# expected MODE LEVEL: writes what the guarantees say fails through the grpcio plane, and names the file.
expected() {
    "$python" -m pilotfish.plane.guarantees "$1" "$2" >"$tools/$1 $2.txt" && echo "@$tools/$1 $2.txt"
}

if tool connectrpc.com/conformance/cmd/connectconformance $conformance connectconformance; then
    if tool connectrpc.com/conformance/cmd/referenceserver $conformance referenceserver; then
        behind="tests/suites/server_behind.py"
        for plane in direct native; do
            suite "connectrpc/conformance, server mode, $plane" connect server connect \
                -- "$python" $behind $plane "$tools/referenceserver"
        done
        for plane in direct native; do
            suite "connectrpc/conformance, server mode over TLS, $plane" connect server connect_tls \
                -- "$python" $behind $plane "$tools/referenceserver"
        done
        suite "connectrpc/conformance, server mode, grpcio" connect server connect_grpcio \
            --known-failing "$(expected server 'not preserved')" --known-flaky "$(expected server normalised)" \
            -- "$python" $behind grpcio "$tools/referenceserver"
        suite "connectrpc/conformance, server mode over TLS, grpcio" connect server connect_grpcio_tls \
            --known-failing "$(expected server 'not preserved')" --known-flaky "$(expected server normalised)" \
            -- "$python" $behind grpcio "$tools/referenceserver"
    fi
    if tool connectrpc.com/conformance/cmd/referenceclient $conformance referenceclient; then
        behind="tests/suites/client_behind.py"
        for plane in direct native; do
            suite "connectrpc/conformance, client mode, $plane" connect client connect \
                -- "$python" $behind $plane "$tools/referenceclient"
        done
        for plane in direct native; do
            suite "connectrpc/conformance, client mode over TLS, $plane" connect client connect_tls \
                -- "$python" $behind $plane "$tools/referenceclient"
        done
        # The case that is left out ends calls of other cases: encoding-unknown in the guarantees.
        for over in "" _tls; do
            suite "connectrpc/conformance, client mode${over:+ over TLS}, grpcio" connect client connect_grpcio$over \
                --known-failing "$(expected client 'not preserved')" --known-flaky "$(expected client normalised)" \
                --skip '**/unexpected-compression' -- "$python" $behind grpcio "$tools/referenceclient"
        done
    fi
    if tool connectrpc.com/conformance/cmd/grpcclient $conformance grpcclient; then
        for plane in direct native; do
            suite "connectrpc/conformance, client mode with grpc-go, $plane" connect client connect_go \
                --known-failing @tests/suites/failing/grpc_go_client.txt \
                -- "$python" tests/suites/client_behind.py $plane "$tools/grpcclient"
        done
    fi
fi

if tool google.golang.org/grpc/interop/client $grpc interop_client &&
    tool google.golang.org/grpc/interop/server $grpc interop_server; then
    for plane in direct native grpcio; do
        suite "grpc-go interop, $plane" "$python" tests/suites/interop.py $plane "$tools"
    done
fi

if tool google.golang.org/grpc/interop/http2 $grpc negative_client; then
    for plane in direct native grpcio; do
        suite "grpc-go negative HTTP/2 client, $plane" "$python" tests/suites/negative.py $plane "$tools"
    done
fi

if tool github.com/summerwind/h2spec/cmd/h2spec $h2spec h2spec; then
    suite "h2spec on the listener" "$python" tests/suites/h2spec.py "$tools"
fi

exit $failed
