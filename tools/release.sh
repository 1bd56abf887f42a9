#!/bin/sh
# Makes a release: `release.sh VERSION` sets the version, closes the changelog's Unreleased part, builds the source
# archive and a wheel for each architecture that can be built here, and writes their checksums to dist/SHA256SUMS.
# Nothing is committed or published: look at the change and at dist/ first.
set -eu
version=${1:?usage: make release VERSION=1.2.3}
case $version in
*[!0-9.a-z]* | '') echo "release: $version is not a version" >&2; exit 2 ;;
esac
if ! git diff --quiet HEAD; then
    echo "release: the working tree has changes; commit them first" >&2
    exit 2
fi
python=${PYTHON:-python3}
"$python" tools/changelog.py "$version" "$(date -u +%Y-%m-%d)"
sed -i "s/^  version: '.*',/  version: '$version',/" meson.build
make generated

rm -rf dist
mkdir -p dist
python -m pip --disable-pip-version-check --quiet wheel --no-build-isolation --no-deps --wheel-dir dist .
# meson's own archive holds what is committed: the release's change is committed on a branch that goes again.
git stash push --quiet --include-untracked -- CHANGELOG.md meson.build man completions
git stash apply --quiet
git archive --format=tar.gz --prefix="ocigc-$version/" -o "dist/ocigc-$version.tar.gz" "stash@{0}"
git stash drop --quiet
if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; then
    make arm
    echo "release: the core passes its tests on ARMv8; its wheel needs a Python for ARMv8 (see CONTRIBUTING)"
fi
make bundle
(cd dist && sha256sum -- *.whl *.tar.gz > SHA256SUMS && cat SHA256SUMS)
