#!/usr/bin/env bash
# Installs Debian packages that are missing:  setup/packages.sh PACKAGE...
set -euo pipefail
missing=()
for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "cube: packages are missing: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# Seconds to wait for another that installs packages: a machine that has just started often updates itself.
apt() { apt-get -o DPkg::Lock::Timeout=600 "$@"; }
# Fresh images come without package lists, old ones with lists that name versions which are gone: then once more.
install() { apt install -y --no-install-recommends "${missing[@]}"; }
apt-cache show "${missing[@]}" >/dev/null 2>&1 || apt update
install || { apt update && install; }
