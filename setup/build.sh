# Sourced: builds what the server consists of. Each part is skipped when it is there and made from these sources.
# shellcheck shell=bash disable=SC2154

# Sets dist to a directory of jars that is not written again once it is there: a running server keeps its own while
# the next one is built.
build_java() {
    local hash
    hash=$(cd "$root" && hash_of pom.xml ./*/pom.xml ./*/src/main)
    dist="$root/target/dist/$hash"
    if [ -d "$dist" ]; then
        # The newest one is what the tools use (use_java).
        touch "$dist"
        return
    fi
    step "building with Maven" build_java_now
}

build_java_now() {
    cd "$root" || return
    rm -rf server/target/lib
    mvn -B -q -DskipTests -Dstyle.color=never package
    rm -rf "$dist.new"
    mkdir -p "$dist.new"
    cp server/target/lib/*.jar server/target/cube-server-*.jar "$dist.new/"
    mv "$dist.new" "$dist"
    # With an archive of its classes a command-line tool starts in half the time.
    "$JAVA_HOME/bin/java" "${cli_java_options[@]}" -XX:ArchiveClassesAtExit="$dist/cli.jsa" -Xlog:disable \
        -cp "$(class_path)" dev.cube.cli.MasterCli tpl list || true
    find target/dist -mindepth 1 -maxdepth 1 -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d ' ' -f 2- \
        | xargs -r rm -rf
}

cli_java_options=("${java_options[@]}" -Xmx256m)

class_path() { printf '%s:' "$dist"/*.jar; }

# Agent, initramfs and memory library, into the artifacts directory.
build_native() {
    local hash
    hash=$(hash_of guest/src/main/c hypervisor/src/main/c)-$(sha256sum <"$CUBE_ARTIFACTS/kernel-version" | cut -c 1-8)
    [ "$(cat "$CUBE_ARTIFACTS/.native-hash" 2>/dev/null)" != "$hash" ] || return 0
    step "building the guest agent and the memory library" build_native_now
    echo "$hash" >"$CUBE_ARTIFACTS/.native-hash"
}

build_native_now() {
    # -B: what is there may be newer than the sources of another checkout, and be of another release.
    make -B -C "$root/hypervisor/src/main/c" OUT="$CUBE_ARTIFACTS"
    # The initramfs also holds the kernel's modules, whose change make does not see either.
    make -B -C "$root/guest/src/main/c" OUT="$CUBE_ARTIFACTS"
}

# Libraries that QEMU is not to load. It works with all of them too, so where these cannot be made that is only told.
build_absent() {
    local made_for
    made_for=$(qemu=$(command -v qemu-system-x86_64) && ldd "$qemu" | awk -v qemu="$qemu" '$2 == "=>" { print $3 } END { print qemu }' \
        | xargs stat -L -c '%n %s %Y' && cat "$root/hypervisor/src/main/c/absent.sh") || return 0
    made_for=$(sha256sum <<<"$made_for" | cut -c 1-16)
    [ "$(cat "$CUBE_ARTIFACTS/.absent-hash" 2>/dev/null)" != "$made_for" ] || return 0
    step "leaving out libraries that QEMU does not need" build_absent_now
    [ -d "$CUBE_ARTIFACTS/absent" ] || say "this QEMU cannot do without them: it loads all of its libraries"
    echo "$made_for" >"$CUBE_ARTIFACTS/.absent-hash"
}

build_absent_now() {
    make -B -C "$root/hypervisor/src/main/c" OUT="$CUBE_ARTIFACTS" absent || rm -rf "$CUBE_ARTIFACTS/absent"
}

fetch_kernel() {
    [ ! -f "$CUBE_ARTIFACTS/vmlinux" ] || [ ! -f "$CUBE_ARTIFACTS/modules/load-order" ] || return 0
    step "fetching the guest kernel" "$root/setup/kernel.sh" "$CUBE_ARTIFACTS"
}

build_image() {
    step "building the default image" "$root/images/sandbox-code/build" "$CUBE_ARTIFACTS/sandbox-code"
}
