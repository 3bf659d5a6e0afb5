# Sourced: find_jdk sets JAVA_HOME to a JDK of the version that the project is built with.
# shellcheck shell=bash disable=SC2034,SC2154
jdk_version=25

# Of the server and the tools. Without C2, which would take a core for the server's first thousand requests and never earn it back,
# and with C1 after 20 calls of a method, not 200: docs/benchmarks.md.
java_options=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:CompileThresholdScaling=0.1)

is_jdk() { [ -x "$1/bin/javac" ] && grep -q "^JAVA_VERSION=\"${jdk_version}[.\"+-]" "$1/release" 2>/dev/null; }

search_jdk() {
    local candidate on_path
    on_path=$(command -v javac || true)
    for candidate in "${JAVA_HOME:-}" "${on_path:+$(dirname "$(dirname "$(readlink -f "$on_path")")")}" \
        /usr/lib/jvm/* /usr/java/* /opt/*jdk* /opt/java/* "$HOME"/.sdkman/candidates/java/* "$HOME"/.jdks/*; do
        if [ -n "$candidate" ] && is_jdk "$candidate"; then
            JAVA_HOME=$candidate
            return 0
        fi
    done
    return 1
}

find_jdk() {
    if ! search_jdk; then
        local package
        for package in "openjdk-$jdk_version-jdk-headless" "temurin-$jdk_version-jdk"; do
            if [ "$(id -u)" = 0 ] && apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [0-9]'; then
                say "installing the package $package"
                step "installing JDK $jdk_version" "$root/setup/packages.sh" "$package"
                break
            fi
        done
        search_jdk || fail "needs JDK $jdk_version: install one (https://adoptium.net/installation/linux has a Debian" \
            "package, temurin-$jdk_version-jdk) and set JAVA_HOME if it is in an unusual place"
    fi
    export JAVA_HOME
}
