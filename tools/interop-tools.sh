#!/bin/sh
# Installs the programs that the tests run for real, where apt can; elsewhere those tests are skipped.
# A program, or program:packages where Debian's package has another name.
missing=
for each in skopeo umoci buildah podman docker-registry containerd zsh fish mandoc chromium chromedriver:chromium-driver \
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
