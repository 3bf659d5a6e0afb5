# Sourced by ./cube and the scripts beside this one: messages, steps with progress, small helpers.
# shellcheck shell=bash disable=SC2154

say() { echo "$*" >&2; }
fail() { echo "cube: $*" >&2; exit 1; }

step_pid=
# A job of the script has a process group of its own (set -m in step), so all that it started ends with it.
stop_step() { [ -z "$step_pid" ] || kill -- "-$step_pid" 2>/dev/null || true; step_pid=; }

# step TITLE COMMAND...: runs the command with its output in a log; shows that it is at work when it takes longer than
# two seconds; on failure shows the end of the log and ends the script.
step() {
    local title=$1 start=$SECONDS shown='' status=0 waited
    local log="$CUBE_HOME/log/setup-${title//[^a-zA-Z0-9]/-}.log"
    shift
    mkdir -p "$CUBE_HOME/log"
    set -m
    ("$@") >"$log" 2>&1 </dev/null &
    step_pid=$!
    set +m
    waited=0
    while kill -0 "$step_pid" 2>/dev/null; do
        sleep 0.1
        waited=$((waited + 1))
        if [ "$waited" -ge 20 ] && [ -t 2 ]; then
            printf '\r%s ... %d s ' "$title" $((SECONDS - start)) >&2
            shown=1
        elif [ "$waited" = 20 ]; then
            say "$title ..."
        fi
    done
    wait "$step_pid" || status=$?
    step_pid=
    [ -z "$shown" ] || printf '\r' >&2
    if [ "$status" != 0 ]; then
        tail -n 15 "$log" | sed 's/^/    /' >&2
        fail "$title failed; all of its output is in $log"
    fi
    [ "$waited" -lt 20 ] || say "$title: done in $((SECONDS - start)) s"
}

# hash_of PATH...: one hash of all files below these paths, their names included; build results left out.
hash_of() {
    (cd "$root" && find "$@" \( -name target -o -name node_modules -o -name .git \) -prune -o -type f -print0 \
        | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-16)
}

# json_field NAME FILE: a string, number or boolean of a flat JSON object.
json_field() { tr -d '\n' <"$2" | sed -n "s/.*\"$1\" *: *\"\{0,1\}\([^\",}]*\)[\",}].*/\1/p"; }
