# Sourced by ./cube test: the Maven tests, and E2B's own clients against a server made for the occasion.
# shellcheck shell=bash disable=SC2154

# Used by tests only: a registry to pull from, qemu-img to judge our overlays, and what the interpreter's kernels need when
# they run on this machine.
test_packages=(docker-registry qemu-utils procps nodejs python3 python3-ipython python3-numpy python3-pandas
    python3-matplotlib python3-pil r-base-core)

run_tests() {
    [ $# = 0 ] || fail "test takes no arguments"
    local started=$SECONDS logs="$CUBE_HOME/log" status=0 failed=() maven clients
    build "${test_packages[@]}"
    find_node
    install_clients

    trap 'exit 130' INT TERM
    trap end_tests EXIT
    start_maven_tests "$logs/test-hypervisor.log" -pl hypervisor
    await_maven_tests "$logs/test-hypervisor.log" || failed+=("$logs/test-hypervisor.log")
    start_maven_tests "$logs/test-maven.log" -Dcube.hypervisor.skipTests=true
    client_tests "$logs/test-clients.log" || failed+=("$logs/test-clients.log")
    await_maven_tests "$logs/test-maven.log" || failed+=("$logs/test-maven.log")
    trap - EXIT
    end_tests || status=1
    [ "${#failed[@]}" = 0 ] || { tell_failures "${failed[@]}"; status=1; }
    [ "$status" = 0 ] || fail "tests failed; all of their output is in $logs: test-hypervisor.log," \
        "test-maven.log, test-clients.log, test-server.log"
    maven=$(sed -n 's/^\[[A-Z]*\] Tests run: \([0-9]*\), .* -- in .*/\1/p' "$logs/test-hypervisor.log" "$logs/test-maven.log" | awk '{ n += $1 } END { print n + 0 }')
    clients=$(sed -n 's/^ℹ pass \([0-9]*\)$/\1/p' "$logs/test-clients.log")
    [ "$maven" -gt 0 ] && [ "$clients" -gt 0 ] || fail "no tests were run"
    say "all tests passed: $maven in Maven, $clients with E2B's clients, in $((SECONDS - started)) s"
}

# Ends what is under way, however far it has come, and removes what it made. Fails if something was left that should have
# ended by itself.
end_tests() {
    local status=0
    stop_step
    [ -z "${maven_pid:-}" ] || kill -- "-$maven_pid" 2>/dev/null || true
    [ -z "${server_home:-}" ] || end_test_server || status=1
    [ -z "${tests_tmp:-}" ] || end_maven_tests || status=1
    return "$status"
}

# start_maven_tests LOG OPTIONS...: in the background. Those of the hypervisor keep all processors busy, and run alone; the
# others wait much of their time, and the client tests go on beside them.
start_maven_tests() {
    local log=$1
    shift
    say "running Maven tests ($*) ..."
    maven_shown=0
    tests_tmp=${tests_tmp:-$(mktemp -d /tmp/cube-mvn.XXXXXX)}
    # A process group of its own, so that all that it started ends with it.
    set -m
    (maven_tests "$@") >"$log" 2>&1 </dev/null &
    maven_pid=$!
    set +m
}

await_maven_tests() {
    local status=0
    say "the Maven tests:"
    while kill -0 "$maven_pid" 2>/dev/null; do
        maven_progress "$1" >&2
        sleep 2
    done
    wait "$maven_pid" || status=$?
    maven_pid=
    maven_progress "$1" >&2
    [ "$status" = 0 ] || say "some of them failed, as the end will tell"
    return "$status"
}

# E2B's own clients, against a server made for the occasion.
client_tests() {
    local log=$1 status=0
    # Sockets of the server lie below its home, and a socket's path may have 107 characters.
    server_home=$(mktemp -d /tmp/cube-test.XXXXXX)
    export CUBE_HOME=$server_home
    # Ports of its own, the same ones when a test restarts it.
    read -r CUBE_API_PORT CUBE_PROXY_PORT < <(node "$root/e2e/free-ports.mjs" 2)
    export CUBE_API_PORT CUBE_PROXY_PORT
    start_server
    default_template
    unset E2B_API_URL E2B_SANDBOX_URL
    export_client_environment
    say "running the client tests (e2e) ..."
    (cd "$root/e2e" && CUBE="$root/cube" CUBE_CLASS_PATH=$(class_path) \
        node --test --test-concurrency=1 --test-reporter=spec ./*.test.mjs) 2>&1 \
        | tee "$log" >&2 || status=1
    cp "$CUBE_HOME/log/server.log" "${log%/*}/test-server.log"
    if [ "$status" != 0 ]; then
        say "warnings of their server:"
        grep -E '^[^ ]* *(WARN|ERROR) ' "${log%/*}/test-server.log" | tail -n 20 | cut -c 1-300 >&2 || true
    fi
    return "$status"
}

maven_tests() {
    local artifacts=$CUBE_ARTIFACTS
    cd "$root" || return
    # Tests of the server's options look at its environment: it must not be this one.
    unset "${!CUBE_@}" "${!E2B_@}"
    # Modules that need nothing of one whose tests fail are tested all the same.
    MAVEN_OPTS="${MAVEN_OPTS:-} -Djava.io.tmpdir=$tests_tmp" mvn -B --fail-at-end -Dstyle.color=never \
        -Dcube.tmp="$tests_tmp" -Dcube.artifacts="$artifacts" "$@" verify
}

# Removes what the tests' JVMs left in their directory for such things. Fails if a process that works there is left.
end_maven_tests() {
    local status=0
    end_processes_of "$tests_tmp" || status=1
    rm -rf "$tests_tmp"
    tests_tmp=
    return "$status"
}

# tell_failures LOG...: at the very end, as often only the last part of a long output is kept.
tell_failures() {
    local log
    for log; do
        say "failed, by ${log##*/}:"
        case $log in
        *-clients.log) client_failures "$log" ;;
        *) maven_failures "$log" ;;
        esac 2>&1 | cut -c 1-300 | sed 's/^/    /' >&2
    done
}

# Each module as it begins, and each class of tests with VMs when it has ended.
maven_progress() {
    local lines
    mapfile -t lines < <(sed -n \
        -e 's|^\[INFO\] Building \(.*[^ ]\)  *[^ ]* *\[\([0-9]*/[0-9]*\)\]$|  \2 \1|p' \
        -e 's|^\[.*Time elapsed: \([0-9.]*\) s.* in .*\.\([A-Za-z]*IT\)$|      \2: \1 s|p' "$1")
    [ "${#lines[@]}" -le "$maven_shown" ] || printf '%s\n' "${lines[@]:maven_shown}"
    maven_shown=${#lines[@]}
}

# The summaries of the tests that failed, with their messages; what else Maven takes for an error if there are none.
maven_failures() {
    local summaries
    summaries=$(awk '/^\[(ERROR|WARNING|INFO)\]/ { on = 0 } /^\[ERROR\]   / { on = 1; lines = 0 } on && lines++ < 12' "$1" \
        | head -n 100)
    if [ -n "$summaries" ]; then
        printf '%s\n' "$summaries"
    else
        grep '^\[ERROR\]' "$1" | head -n 30 || tail -n 15 "$1"
    fi
}

# client_failures LOG: the names of the client tests that failed, and the first line of why.
client_failures() {
    sed -n '/^✖ failing tests:/,$p' "$1" | awk '/^test at / { where = $3 } /^ *✖/ && where { print where $0; why = 1; next }
        why && NF { print "    " $0; why = 0; where = "" }'
}

# Stops the test's server and removes its home. Fails if a process of it is left, which the server should have ended.
end_test_server() {
    local status=0
    (CUBE_HOME=$server_home quiet=1 stop_server --kill) || status=1
    end_processes_of "$server_home" || status=1
    rm -rf "$server_home"
    server_home=
    return "$status"
}

# Fails if any are left after a while: what has been told to end may take a moment.
end_processes_of() {
    local status=0 pid waited=0
    while [ -n "$(pids_of "$1")" ] && [ "$waited" -lt 50 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    for pid in $(pids_of "$1"); do
        say "left over: process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c 1-120)"
        kill -9 "$pid" || true
        status=1
    done
    return "$status"
}

# Processes, other than this script's own, that name this path on their command line.
pids_of() {
    local file pid
    for file in /proc/[0-9]*/cmdline; do
        pid=${file#/proc/}
        pid=${pid%/cmdline}
        if [ "$pid" != $$ ] && [ "$pid" != "$BASHPID" ] && tr '\0' ' ' 2>/dev/null <"$file" | grep -qF "$1/"; then
            echo "$pid"
        fi
    done
}
