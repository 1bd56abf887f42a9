#!/bin/sh
# Makes dist/ocigc-bundle-VERSION-ARCH.tar.gz: all that `pip install ocigc` fetches, and a script that installs it where
# there is no network. Then unpacks it and tries it, without any index.
set -eu
python=${PYTHON:-python3}
versions=${BUNDLE_PYTHONS:-3.11 3.12 3.13 3.14}
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
cp -r docs "$bundle"
cp tools/bundle/install.sh "$bundle"
uname -m > "$bundle/machine"
# The newest version of glibc that a symbol in our library and in cffi's asks for.
find "$work" -name '*.whl' | while read -r each; do unzip -q -o "$each" '*.so' '*.so.*' -d "$work/libraries" 2>/dev/null || true; done
find "$work/libraries" -name '*.so*' -exec objdump -T {} + | grep -o 'GLIBC_2[.0-9]*' | cut -d_ -f2 |
    sort -V | tail -n 1 > "$bundle/glibc"
cat > "$bundle/README" <<END
ocigc $version for Linux on $(uname -m), with Python $(echo "$versions" | sed 's/ /, /g'), to install without a network:

    sha256sum -c SHA256SUMS
    sh install.sh [DIRECTORY]       (default: /opt/ocigc; PYTHON=python3.12 chooses another Python)

It needs Python 3.11 and glibc $(cat "$bundle/glibc") or newer, and neither pip nor venv. DIRECTORY/bin/ocigc is then the
command; DIRECTORY/share has the documents, the manual pages, the shell completions, and services and timers for systemd
that point to it. To remove it, remove DIRECTORY.
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
env -i PATH=/usr/bin:/bin HOME="$work" PYTHON="$(command -v "$python")" sh install.sh "$work/trial/ocigc" >/dev/null # again
ocigc=$work/trial/ocigc/bin/ocigc
"$ocigc" synth "$work/trial/mirror" > /dev/null
"$ocigc" prune --grace 0s --force "$work/trial/mirror" > "$work/pruned"
tail -n 1 "$work/pruned"
"$ocigc" verify "$work/trial/mirror"
echo "dist/$name.tar.gz"
