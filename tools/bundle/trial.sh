#!/bin/sh
# Tries a bundle in empty root file systems of two Debian releases, without a network and without venv or pip:
# `trial.sh BUNDLE.tar.gz`. Needs root and debootstrap.
set -eu
bundle=$(realpath "$1")
mirror=${MIRROR:-http://deb.debian.org/debian}
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

for release in bookworm trixie; do
    root=$work/$release
    debootstrap --variant=minbase --include=python3 "$release" "$root" "$mirror" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; exit 1; }
    tar -C "$root/tmp" -xzf "$bundle"
    unshare --net chroot "$root" /bin/sh -eu <<'END'
cd /tmp/ocigc-bundle-*
sha256sum --check --quiet SHA256SUMS
! python3 -c 'import ensurepip' 2>/dev/null || echo "(venv is here)"
sh install.sh >/dev/null
sh install.sh >/dev/null # over itself
/opt/ocigc/bin/ocigc synth /tmp/mirror >/dev/null
/opt/ocigc/bin/ocigc prune --grace 0s --force /tmp/mirror >/dev/null
/opt/ocigc/bin/ocigc verify /tmp/mirror
test -f /opt/ocigc/share/man/man5/ocigc-policy.5
grep -q /opt/ocigc/bin/ocigc /opt/ocigc/share/contrib/systemd/ocigc-prune@.service
! sh install.sh /etc >/tmp/out 2>&1 || exit 1
grep -q 'other files' /tmp/out
python3 --version
END
    # Without a Python it says what to do, and leaves nothing.
    rm "$root"/usr/bin/python3*
    ! unshare --net chroot "$root" /bin/sh -c 'cd /tmp/ocigc-bundle-*; sh install.sh /opt/none' >"$work/out" 2>&1 || exit 1
    grep -q 'Python 3.11 or newer is needed' "$work/out" || { cat "$work/out"; exit 1; }
    test ! -e "$root/opt/none"
    echo "$release: ok"
done
