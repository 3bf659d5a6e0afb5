#!/usr/bin/env bash
# Fetches Debian's cloud kernel and unpacks it as a guest kernel; the host's own kernel is not touched.
#
#   setup/kernel.sh ARTIFACTS
#
# makes  ARTIFACTS/vmlinux         the uncompressed kernel, with the PVH entry point that QEMU's microvm boots it by
#        ARTIFACTS/modules/*.ko    what a guest may load; modules/load-order names those that every guest needs, in order
#        ARTIFACTS/kernel-version  the Debian package, for information and to notice a newer one
set -euo pipefail
artifacts=${1:?usage: setup/kernel.sh ARTIFACTS}

# The first line is loaded by every guest. virtio needs virtio_ring only to link; insmod order is the dependency order.
needed="virtio_ring virtio virtio_mmio virtio_blk virtio_console overlay"
useful="crc32c-intel libcrc32c fuse loop tun virtio-rng virtio_balloon failover net_failover virtio_net"

fail() { echo "kernel: $*" >&2; exit 1; }

for tool in apt-get dpkg-deb lz4 xz zstd readelf od; do
    command -v "$tool" >/dev/null || fail "needs the command $tool: apt-get install lz4 xz-utils zstd binutils"
done

work=$(mktemp -d "${TMPDIR:-/tmp}/cube-kernel.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

package=$(apt-cache depends --no-recommends --no-suggests linux-image-cloud-amd64 2>/dev/null \
    | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
[ -n "$package" ] || fail "apt does not know linux-image-cloud-amd64: run apt-get update, or put vmlinux and modules/ into $artifacts yourself"
(cd "$work" && apt-get download -qq "$package" 2>"$work/apt.log") || fail "download of $package failed: $(tail -n 1 "$work/apt.log")"
dpkg-deb -x "$work"/linux-image-*.deb "$work/tree"

# The boot protocol's header says where the compressed kernel lies (Documentation/arch/x86/boot.rst in Linux):
# setup_sects at 0x1f1, payload_offset at 0x248 from the end of the set-up sectors, payload_length at 0x24c.
# The payload ends with the uncompressed size, four bytes that are not part of the compressed stream.
image=("$work"/tree/boot/vmlinuz-*)
number() { od -A n -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '; }
start=$((($(number "${image[0]}" $((0x1f1)) 1) + 1) * 512 + $(number "${image[0]}" $((0x248)) 4)))
length=$(($(number "${image[0]}" $((0x24c)) 4) - 4))
tail -c +$((start + 1)) "${image[0]}" | head -c "$length" >"$work/payload" || true
case $(od -A n -t x1 -N 4 "$work/payload" | tr -d ' ') in
    02214c18) unpack="lz4 -dc" ;;
    fd377a58) unpack="xz -dc" ;;
    28b52ffd) unpack="zstd -dc" ;;
    1f8b*) unpack="gzip -dc" ;;
    *) fail "$package is compressed in a way that this script does not know" ;;
esac
$unpack <"$work/payload" >"$work/vmlinux"
[ "$(stat -c %s "$work/vmlinux")" = "$(number "${image[0]}" $((start + length)) 4)" ] \
    || fail "$package did not unpack to the size that it names"
# XEN_ELFNOTE_PHYS32_ENTRY, type 18: the PVH entry point.
readelf -n "$work/vmlinux" 2>/dev/null | grep -q 'Xen .*(0x00000012)' \
    || fail "$package has no PVH entry point, which QEMU's microvm needs"

mkdir "$work/modules"
for name in $needed $useful; do
    file=$(find "$work/tree/lib/modules" -name "$name.ko" -print -quit)
    [ -n "$file" ] && cp "$file" "$work/modules/"
done
for name in $needed; do
    [ -f "$work/modules/$name.ko" ] || fail "$package lacks the module $name"
    echo "$name"
done >"$work/modules/load-order"

mkdir -p "$artifacts"
rm -rf "$artifacts/modules.new"
cp -r "$work/modules" "$artifacts/modules.new"
cp "$work/vmlinux" "$artifacts/vmlinux.new"
rm -rf "$artifacts/modules"
mv "$artifacts/modules.new" "$artifacts/modules"
mv "$artifacts/vmlinux.new" "$artifacts/vmlinux"
dpkg-deb -f "$work"/linux-image-*.deb Package Version >"$artifacts/kernel-version"
