# A Bash context of the code interpreter, as interactive Bash's start-up file: only an interactive shell goes on after an
# interrupt. Commands come on standard input (BashProtocol in the host), the first argument names the epoch's file, whose
# neighbour boot_id changes when the sandbox was restored.
set +m +H +o history
unset HISTFILE MAILCHECK PROMPT_COMMAND
PS1= PS2=
exec {__cube_out}>&1 {__cube_err}>&2
__cube_run=${1%/*} __cube_count=0 __cube_boot= __cube_names=() __cube_saved=()
shift

__cube_renew() {
    local boot= entry name names=()
    if [[ -r $__cube_run/boot_id ]]; then
        read -r boot <"$__cube_run/boot_id"
    fi
    if [[ $boot == "$__cube_boot" ]]; then
        return
    fi
    RANDOM=$SRANDOM
    if [[ -r $__cube_run/environment ]]; then
        while IFS= read -r -d '' entry; do
            name=${entry%%=*}
            if [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
                names+=("$name")
                export "$entry"
            fi
        done <"$__cube_run/environment"
        for name in "${__cube_names[@]}"; do
            [[ " ${names[*]} " == *" $name "* ]] || unset "$name"
        done
        __cube_names=("${names[@]}")
    fi
    __cube_boot=$boot
}

__cube_begin() {
    __cube_renew
    __cube_count=$((__cube_count + 1))
    printf '\036cube:%s:begin:%d\n' "$1" "$__cube_count" >&"$__cube_out"
    printf '\036cube:%s:begin:%d\n' "$1" "$__cube_count" >&"$__cube_err"
    shift
    __cube_saved=()
    while (($# > 1)); do
        if [[ $1 =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
            __cube_saved+=("$1" "${!1+${!1@a}=}" "${!1-}")
            export "$1=$2"
        fi
        shift 2
    done
}

__cube_end() {
    local i
    for ((i = 0; i < ${#__cube_saved[@]}; i += 3)); do
        unset "${__cube_saved[i]}"
        if [[ ${__cube_saved[i + 1]} == *=* ]]; then
            printf -v "${__cube_saved[i]}" %s "${__cube_saved[i + 2]}"
            [[ ${__cube_saved[i + 1]} != *x* ]] || export "${__cube_saved[i]}"
        fi
    done
    printf '\036cube:%s:end:%d\n' "$1" "$2" >&"$__cube_out"
    printf '\036cube:%s:end:%d\n' "$1" "$2" >&"$__cube_err"
}

__cube_renew
printf '\036cube:kernel:ready:0\n' >&"$__cube_out"
