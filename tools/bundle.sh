#!/bin/sh
# Makes dist/ocigc-bundle-VERSION-ARCH.tar.gz: all that `pip install ocigc` fetches, and a script that installs it where
# there is no network. Then unpacks it and tries it, without any index.
set -eu
python=${PYTHON:-python3}
versions=${BUNDLE_PYTHONS:-3.11 3.12 3.13}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pip() { "$python" -m pip --disable-pip-version-check --quiet "$@"; }

pip wheel --no-deps --wheel-dir "$work/built" .
wheel=$(echo "$work"/built/ocigc-*.whl)
version=$(basename "$wheel" | cut -d- -f2)
name=ocigc-bundle-$version-$(uname -m)
bundle=$work/$name
mkdir -p "$bundle/wheels"
for each in $versions; do
    pip download --only-binary=:all: --python-version "$each" --dest "$bundle/wheels" "${wheel}[blake3,yaml]"
done
cp LICENSE "$bundle"
cp -r contrib "$bundle"
cat > "$bundle/README" <<END
ocigc $version for Linux on $(uname -m), with Python $(echo "$versions" | sed 's/ /, /g'), to install without a network:

    sha256sum -c SHA256SUMS
    sh install.sh [DIRECTORY]       (default: /opt/ocigc; PYTHON=python3.12 chooses another Python)

DIRECTORY/bin/ocigc is then the command, DIRECTORY/share has its manual pages and shell completions, and contrib/systemd
here has services and timers. To remove it, remove DIRECTORY.
END
cat > "$bundle/install.sh" <<'END'
#!/bin/sh
# Installs ocigc from the wheels beside this script into a virtual environment of its own.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
target=${1:-/opt/ocigc}
"${PYTHON:-python3}" -m venv "$target"
"$target/bin/python" -m pip --isolated --disable-pip-version-check --quiet install --no-index \
    --find-links "$here/wheels" 'ocigc[blake3,yaml]'
echo "$target/bin/ocigc is $("$target/bin/ocigc" --version)"
END
(cd "$bundle" && find ./* -type f | LC_ALL=C sort | cut -c3- | xargs -d '\n' sha256sum) > "$work/SHA256SUMS"
mv "$work/SHA256SUMS" "$bundle"
mkdir -p dist
tar -C "$work" --owner=0 --group=0 --numeric-owner --sort=name -czf "dist/$name.tar.gz" "$name"

# The trial: an empty environment that knows of no index.
mkdir "$work/trial"
tar -C "$work/trial" -xzf "dist/$name.tar.gz"
cd "$work/trial/$name"
sha256sum --check --quiet SHA256SUMS
env -i PATH=/usr/bin:/bin HOME="$work" PYTHON="$(command -v "$python")" sh install.sh "$work/trial/ocigc"
ocigc=$work/trial/ocigc/bin/ocigc
"$ocigc" synth "$work/trial/mirror" > /dev/null
"$ocigc" prune --grace 0s --force "$work/trial/mirror" > "$work/pruned"
tail -n 1 "$work/pruned"
"$ocigc" verify "$work/trial/mirror"
echo "dist/$name.tar.gz"
