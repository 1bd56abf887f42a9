#!/bin/sh
# Installs the programs that the tests run for real: Debian's where apt can, and with OCIGC_INTEROP=full (or all, with
# cosign too) those that are Go modules. The tests of a program that is not here are skipped.
case ${OCIGC_INTEROP:-} in
full) modules= ;;
all) modules=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.2 ;; # six minutes more where nothing is cached
esac
if [ -n "${OCIGC_INTEROP:-}" ]; then
    # The same place as in tests/interop/programs.py; outside of the tree, for a build of all takes minutes.
    GOBIN=${OCIGC_INTEROP_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/ocigc-interop/bin}
    export GOBIN
    for module in github.com/google/go-containerregistry/cmd/crane@v0.22.1 oras.land/oras/cmd/oras@v1.3.6 \
        github.com/regclient/regclient/cmd/regctl@v0.11.7 helm.sh/helm/v3/cmd/helm@v3.22.0 \
        $modules; do
        program=${module%@*}
        program=$GOBIN/${program##*/}
        go version -m "$program" 2>/dev/null | awk -v version="${module#*@}" '$1 == "mod" && $3 == version { found = 1 }
            END { exit !found }' && continue
        echo "building for the tests: $module"
        go install -trimpath '-ldflags=-s -w' "$module" >/dev/null 2>&1 ||
            echo "could not build it: the tests that need it are skipped"
    done
fi

# A program, or program:packages where Debian's package has another name.
missing=
for each in skopeo umoci buildah podman docker-registry containerd zsh fish mandoc chromium chromedriver:chromium-driver promtool:prometheus \
    systemd-analyze:systemd clang:clang,libclang-rt-dev \
    qemu-aarch64:qemu-user aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu,libc6-dev-arm64-cross; do
    command -v "${each%%:*}" >/dev/null 2>&1 || missing="$missing $(echo "${each#*:}" | tr ',' ' ')"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing for the tests:$missing"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing; } \
        >/dev/null 2>&1 || echo "could not install them: the tests that need them are skipped"
else
    echo "not here:$missing; the tests that need them are skipped (install them, or run as root where apt is)"
fi
exit 0
