#!/usr/bin/env bash
# Makes a stand-in for libraries that QEMU is linked with and has no use for in Cube's VMs, which have neither a display nor
# a network card nor USB: each would cost every QEMU five mappings, pages of its own for relocated data, and the time for
# both at each start, fork and end. The stand-in has what QEMU and the libraries that it does use want of them, by name and
# version; a function of it that is called tells its name and ends QEMU.
#   absent.sh QEMU DIRECTORY     DIRECTORY is for QEMU's LD_LIBRARY_PATH
set -euo pipefail
export LC_ALL=C

qemu=$1
directory=$2
# glibc loads a file once, whatever it is called.
library=libcubeabsent.so

absent=(
    capstone            # disassembly, for logs
    png16 jpeg sasl2    # displays
    udev                # USB, and disks of the host
    pmem                # persistent memory
    numa                # memory of certain nodes of the host
    gio-2.0 gobject-2.0 # D-Bus
    rdmacm ibverbs      # RDMA
    slirp vdeplug bpf   # network cards
    zstd                # compressed migration and disks
    fuse3               # disks as files of the host
    aio                 # disks by Linux AIO: a block device's option that is not used
    p11-kit idn2 unistring # TLS: keys in hardware, host names. The rest of GnuTLS is QEMU's source of random numbers
)

is_absent() {
    local name
    for name in "${absent[@]}"; do
        [[ $1 != "lib$name.so."* ]] || return 0
    done
    return 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# NAME FILE of each library that is loaded otherwise.
ldd "$qemu" | awk '$2 == "=>" { print $1, $3 }' >"$work/libraries"
path_of() { awk -v name="$1" '$1 == name { print $2 }' "$work/libraries"; }

# What is loaded now: QEMU, its accelerator, and what they reach without going through what is absent.
loaded=("$qemu")
for module in {/usr/lib,/usr/local/lib}{/*-linux-gnu,64,}/qemu/accel-tcg-x86_64.so; do
    [ ! -f "$module" ] || loaded+=("$module")
done
declare -A seen
stood_in=()
for ((i = 0; i < ${#loaded[@]}; i++)); do
    for name in $(objdump -p "${loaded[i]}" | awk '$1 == "NEEDED" { print $2 }'); do
        file=$(path_of "$name")
        if [ -z "$file" ] || [ -n "${seen[$name]:-}" ]; then
            continue
        fi
        seen[$name]=1
        if is_absent "$name"; then
            stood_in+=("$name")
            # NAME KIND SIZE of what it has
            objdump -T "$file" | awk '$0 !~ /\*UND\*/ && $1 ~ /^[0-9a-f]+$/ {
                print $NF, / DO /  ? "object" : "function", $0 ~ /\t/ ? substr($0, index($0, "\t") + 1, 16) : 0 }' >>"$work/has"
        else
            loaded+=("$file")
        fi
    done
done
[ "${#stood_in[@]}" -gt 0 ] || : >"$work/has"

# NAME VERSION of what is wanted; a dash is no version.
for file in "${loaded[@]}"; do
    objdump -T "$file" | awk '/\*UND\*/ { print $NF, $(NF - 1) ~ /^\(/ ? substr($(NF - 1), 2, length($(NF - 1)) - 2) : "-" }'
done | sort -u >"$work/wanted"
# NAME VERSION KIND SIZE
sort -u -k 1,1 "$work/has" | join "$work/wanted" - >"$work/symbols"

{
    cat <<'END'
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((noreturn, noinline)) static void absent(const char *name)
{
    static const char words[] = "cube: QEMU has called a function of a library that it is not given: ";
    if (write(2, words, sizeof(words) - 1) > 0 && write(2, name, strlen(name)) > 0)
        (void)!write(2, "\n", 1);
    abort();
}

END
    awk '$3 == "function" { printf "void %s(void) { absent(\"%s\"); }\n", $1, $1 }
         $3 == "object" { printf "char %s[0x%s];\n", $1, $4 }' "$work/symbols"
} >"$work/absent.c"
awk '$2 != "-" { names[$2] = names[$2] " " $1 ";" }
     END { for (version in names) printf "%s { global:%s };\n", version, names[version] }' "$work/symbols" >"$work/absent.map"

mkdir "$work/made"
"${CC:-cc}" -O2 -fno-builtin -shared -fPIC -Wall -Werror -Wl,-z,relro,-z,now -Wl,-soname,$library \
    -Wl,--version-script="$work/absent.map" -o "$work/made/$library" "$work/absent.c"
for name in "${stood_in[@]}"; do
    ln -s $library "$work/made/$name"
done
LD_LIBRARY_PATH="$work/made" "$qemu" --version

rm -rf "$directory.new"
cp -a "$work/made" "$directory.new"
rm -rf "$directory"
mv "$directory.new" "$directory"
