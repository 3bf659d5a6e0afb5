# Sourced: the server as a process, and what its clients need to know.
# shellcheck shell=bash disable=SC2154

# A key that every client takes for one; a server open on loopback takes any.
local_key=e2b_0000000000000000000000000000000000000000

server_pid() {
    local pid
    pid=$(json_field pid "$CUBE_HOME/server.json" 2>/dev/null) || return 1
    # The process ID may have gone to another program since.
    [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q 'dev\.cube\.server\.CubeServer' && echo "$pid"
}

server_java_options=("${java_options[@]}" -Xms64m -Xmx512m --enable-native-access=ALL-UNNAMED -XX:+AutoCreateSharedArchive)

start_server() {
    if server_pid >/dev/null; then
        return
    fi
    # Libraries that the JVM unpacks are left by a server that is killed.
    rm -rf "$CUBE_HOME/tmp"
    mkdir -p "$CUBE_HOME/log" "$CUBE_HOME/cache" "$CUBE_HOME/tmp"
    rm -f "$CUBE_HOME/server.json"
    step "starting the server" start_server_now
}

start_server_now() {
    local pid words
    # Without job control, setsid need not fork, and $! is the server.
    set +m
    read -r -a words <<<"${CUBE_JAVA_OPTIONS:-}"
    server_java_options+=(-XX:SharedArchiveFile="$CUBE_HOME/cache/server.jsa" -Djava.io.tmpdir="$CUBE_HOME/tmp" "${words[@]}")
    (
        close_descriptors
        exec setsid nohup "$JAVA_HOME/bin/java" "${server_java_options[@]}" -Xlog:disable \
            -cp "$(class_path)" dev.cube.server.CubeServer --home "$CUBE_HOME" --artifacts "$CUBE_ARTIFACTS" \
            >>"$CUBE_HOME/log/server.log" 2>&1 </dev/null
    ) &
    pid=$!
    local waited=0
    until [ -f "$CUBE_HOME/server.json" ]; do
        if ! kill -0 "$pid" 2>/dev/null; then
            tail -n 15 "$CUBE_HOME/log/server.log"
            return 1
        fi
        sleep 0.1
        waited=$((waited + 1))
        if [ "$waited" -gt 1200 ]; then
            echo "the server is not ready after 120 s; see $CUBE_HOME/log/server.log"
            kill "$pid"
            return 1
        fi
    done
}

# Whoever started this script may have left it a lock or a pipe, which would be held for as long as the server runs.
close_descriptors() {
    local open
    for open in /proc/"$BASHPID"/fd/*; do
        open=${open##*/}
        [ "$open" -le 2 ] || eval "exec $open>&-"
    done
}

stop_server() {
    local pid waited=0
    if [ "${1:-}" != --kill ] && [ $# -gt 0 ]; then
        fail "down takes --kill or nothing"
    fi
    if ! pid=$(server_pid); then
        say "no server is running"
        return
    fi
    if [ "${1:-}" = --kill ]; then
        (java_tool dev.cube.cli.MasterCli destroy --all) >/dev/null
    fi
    kill "$pid"
    # One that has ended and waits to be reaped has no command line.
    while [ -n "$(tr -d '\0' 2>/dev/null <"/proc/$pid/cmdline")" ]; do
        sleep 0.1
        waited=$((waited + 1))
        [ "$waited" -lt 300 ] || fail "the server (process $pid) has not ended after 30 s"
    done
    rm -f "$CUBE_HOME/server.json"
    [ "${1:-}" = --kill ] || [ -n "${quiet:-}" ] \
        || say "the server is stopped; sandboxes run on and are taken up again by ./cube up"
}

# The default template is made again when what it consists of has changed; sandboxes of the old one go on.
default_template() {
    local made_of id old aliases=(--name sandbox-code --name base --name code-interpreter-v1)
    made_of=$(cat "$CUBE_ARTIFACTS/.native-hash" "$CUBE_ARTIFACTS/kernel-version" "$CUBE_ARTIFACTS/sandbox-code/index.json" \
        | sha256sum | cut -c 1-16)
    old=$(cat "$CUBE_HOME/default-template" 2>/dev/null || true)
    if [ -n "$old" ] && [ "${old#* }" = "$made_of" ] \
        && (java_tool dev.cube.cli.MasterCli tpl info "${old%% *}" 2>/dev/null | grep -q '^State *READY'); then
        return
    fi
    step "making the default template" make_default_template
    id=$(sed -n '1p' "$CUBE_HOME/log/setup-making-the-default-template.log")
    [ -z "$old" ] || (java_tool dev.cube.cli.MasterCli tpl delete "${old%% *}" 2>/dev/null) || true
    echo "$id $made_of" >"$CUBE_HOME/default-template"
}

make_default_template() {
    (java_tool dev.cube.cli.MasterCli tpl create-from-image --image "oci:$CUBE_ARTIFACTS/sandbox-code" \
        --writable-layer-size 1G --expose-port 49999 --expose-port 49983 --probe 49999 "${aliases[@]}")
}

client_environment() {
    server_pid >/dev/null || fail "no server is running: ./cube up"
    local file="$CUBE_HOME/server.json" template key
    template=$(cut -d ' ' -f 1 "$CUBE_HOME/default-template" 2>/dev/null || echo base)
    key=$local_key
    [ "$(json_field apiKeyRequired "$file")" != true ] || key=$(cat "$(json_field apiKeyFile "$file")")
    printf 'export %s=%q\n' \
        E2B_API_URL "$(json_field apiUrl "$file")" \
        E2B_API_KEY "$key" \
        E2B_DOMAIN "$(json_field domain "$file")" \
        CUBE_API_URL "$(json_field apiUrl "$file")" \
        CUBE_TEMPLATE_ID "$template" \
        SSL_CERT_FILE "$(json_field caBundle "$file")" \
        NODE_EXTRA_CA_CERTS "$(json_field caCertificate "$file")"
}

# What the environment names already is left alone, so that the tools can be pointed at another server.
export_client_environment() {
    local line
    if [ -n "${E2B_API_URL:-}" ] || ! server_pid >/dev/null; then
        return
    fi
    while IFS= read -r line; do
        eval "$line"
    done < <(client_environment)
}

# As above, but whatever the environment says: for what is done to the server of this CUBE_HOME.
use_this_server() {
    unset E2B_API_URL
    export_client_environment
}

status() {
    local pid
    if ! pid=$(server_pid); then
        echo "no server is running (CUBE_HOME=$CUBE_HOME): ./cube up"
        return 1
    fi
    use_this_server
    echo "server     process $pid, up since $(date -d "@$(stat -c %Y "/proc/$pid")" '+%F %T')"
    echo "API        $(json_field apiUrl "$CUBE_HOME/server.json")"
    echo "sandboxes  https://<port>-<sandbox>.$(json_field domain "$CUBE_HOME/server.json")"
    echo "state      $CUBE_HOME ($(du -sh --exclude=artifacts "$CUBE_HOME" 2>/dev/null | cut -f 1))"
    (java_tool dev.cube.cli.MasterCli tpl list)
    (java_tool dev.cube.cli.MasterCli list)
}

logs() {
    case ${1:-} in
        -f) exec tail -n 100 -F "$CUBE_HOME/log/server.log" ;;
        '') exec tail -n 100 "$CUBE_HOME/log/server.log" ;;
        *) fail "logs takes -f or nothing" ;;
    esac
}
