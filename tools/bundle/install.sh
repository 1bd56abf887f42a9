#!/bin/sh
# Installs ocigc from the wheels beside this script: `sh install.sh [DIRECTORY]` (default /opt/ocigc).
# PYTHON=python3.12 chooses another Python. Needs no network and no root, only a writable DIRECTORY.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=${1:-/opt/ocigc}
case $target in
-*) echo "usage: sh install.sh [DIRECTORY]   (default: /opt/ocigc; PYTHON=python3.12 chooses another Python)"; exit 2 ;;
/*) ;;
*) target=$(pwd)/${target#./} ;; # the program and the units name it
esac
wanted=$(cat "$here/glibc")

fail() {
    echo "install.sh: $1" >&2
    shift
    for line in "$@"; do echo "  $line" >&2; done
    exit 1
}

if [ -z "${PYTHON:-}" ]; then
    for each in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$each" >/dev/null && "$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            PYTHON=$each
            break
        fi
    done
fi
if [ -z "${PYTHON:-}" ] || ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    fail "Python 3.11 or newer is needed; nothing was installed. From the system's own packages:" \
        "RHEL, Rocky or Alma 8 and 9:  dnf install python3.11" \
        "Debian 12 and newer:          apt-get install python3" \
        "Ubuntu 22.04:                 apt-get install python3.11" \
        "Ubuntu 24.04 and newer:       apt-get install python3" \
        "then run this again (PYTHON=/path/to/python3.11 sh install.sh chooses one)"
fi
case $target in
*[!A-Za-z0-9/._+@~-]*) fail "$target: only letters, digits and / . _ + @ ~ - may be in it; nothing was installed" ;;
esac
"$PYTHON" - "$wanted" <<'END' || fail "glibc $wanted or newer is needed, which this system has not; nothing was installed." \
    "Take the bundle that was built on an older system, or build one there: make bundle"
import os, sys
try:
    found = os.confstr("CS_GNU_LIBC_VERSION").split()[1]
except (ValueError, AttributeError, OSError, IndexError):
    sys.exit(1)
sys.exit([int(n) for n in found.split(".")[:2]] < [int(n) for n in sys.argv[1].split(".")])
END
case $("$PYTHON" -c 'import os; print(os.uname().machine)') in
"$(cat "$here/machine")") ;;
*) fail "this bundle is for $(cat "$here/machine"), and this machine is another; nothing was installed" ;;
esac
[ -z "$(ls -A "$target" 2>/dev/null)" ] || [ -f "$target/ocigc-bundle" ] ||
    fail "$target has other files in it; nothing was changed. Name an empty or new directory: sh install.sh DIRECTORY"
mkdir -p "$target" 2>/dev/null && [ -w "$target" ] ||
    fail "$target cannot be written; nothing was installed. Run this as root, or name another: sh install.sh ~/ocigc"

# Made beside what is there, and swapped in at the end: a failure or an interrupt leaves things as they were.
new=$(mktemp -d "$target/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$new"
lib=$new/lib/ocigc
mkdir -p "$lib" "$new/bin" "$new/share"

# Wheels are archives of what is to lie on Python's path, so neither pip nor venv is needed to install them.
"$PYTHON" - "$here/wheels" "$lib" "$new/share" <<'END'
import pathlib, shutil, sys, sysconfig, zipfile

wheels, lib, share = map(pathlib.Path, sys.argv[1:])
tag = "cp%d%d" % sys.version_info[:2]

def fits(wheel):
    python, abi, _ = wheel.stem.rsplit("-", 3)[1:]
    return "py3" in python or python == tag or (abi == "abi3" and int(python[3:]) <= sys.version_info[1])

chosen = {}
for wheel in sorted(wheels.glob("*.whl"), key=lambda wheel: tag in wheel.name):
    if fits(wheel):
        chosen[wheel.name.split("-")[0].lower()] = wheel
for needed in ("ocigc", "cffi"):
    if needed not in chosen:
        sys.exit("install.sh: no wheel of %s for Python %d.%d; nothing was installed" % (needed, *sys.version_info[:2]))
for wheel in chosen.values():
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(lib)
for data in lib.glob("*.data/data/share"):
    shutil.copytree(data, share, dirs_exist_ok=True)
for data in lib.glob("*.data"):
    shutil.rmtree(data)
END

# The interpreter itself: a virtual environment, or a shim in somebody's home, is not there for everybody.
interpreter=$("$PYTHON" -c 'import sys; print(getattr(sys, "_base_executable", None) or sys.executable)')
cat > "$new/bin/ocigc" <<END
#!/bin/sh
# -I: neither the user's environment nor the current directory has a say in what is loaded.
exec "$interpreter" -I -c 'import sys; sys.path.insert(0, "$target/lib/ocigc"); sys.argv[0] = "ocigc"
from ocigc.cli.main import main; sys.exit(main())' "\$@"
END
chmod 755 "$new/bin/ocigc"
cp -r "$here/contrib" "$here/docs" "$here/LICENSE" "$new/share/"
find "$new/share/contrib" -name '*.service' -exec sed -i "s|/usr/local/bin/ocigc|$target/bin/ocigc|" {} +
"$PYTHON" -m compileall -q "$lib" >/dev/null 2>&1 || true
sed "s|\"$target/lib/ocigc\"|\"$lib\"|" "$new/bin/ocigc" > "$new/try"
version=$(sh "$new/try" --version) || fail "what was installed does not run; nothing was changed in $target"
rm "$new/try"
for each in bin lib share; do
    rm -rf "${target:?}/$each.old"
    [ ! -e "$target/$each" ] || mv "$target/$each" "$target/$each.old"
    mv "$new/$each" "$target/$each"
    rm -rf "${target:?}/$each.old"
done
echo "$version" > "$target/ocigc-bundle"

echo "$target/bin/ocigc is $version"
echo "documents: $target/share/docs   manual: MANPATH=$target/share/man man ocigc"
echo "timers: cp $target/share/contrib/systemd/* /etc/systemd/system/"
echo "to remove it: rm -r $target"
