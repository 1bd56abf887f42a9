#!/bin/sh
# What the tests cover: Python with its subprocesses, and the C core as the extension and in its own tests. Reports in
# build/coverage.
set -eu
rm -rf build/coverage
mkdir -p build/coverage
failed=0

# The extension is built so that it counts lines; the next target installs the usual one again.
rm -f .venv/.installed
python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall \
    -Cbuild-dir=build/covered -Csetup-args=-Db_coverage=true -Csetup-args=-Dtests=true .
find build/covered -name '*.gcda' -delete
# Some tests run commands as nobody.
chmod a+rwx build/coverage
(umask 0 && python -P -c 'import ocigc._native')

"${CC:-cc}" -D_GNU_SOURCE -shared -fPIC -O2 -o build/coverage/no_landlock.so tools/no_landlock.c -ldl

# Other programs and faults at every system call are left out: they take long, and find bugs, not lines. So are the tests
# of what a command loads: coverage is loaded too. Not `-m pytest`: that would import the sources, which have no
# compiled core.
LD_PRELOAD="$PWD/build/coverage/no_landlock.so" \
    coverage run "$(command -v pytest)" -q -n auto \
    --ignore tests/interop --ignore tests/faults --ignore tests/cli/test_start.py "$@" || failed=$?
meson test --quiet -C build/covered || failed=$?

coverage combine --quiet
coverage html --quiet -d build/coverage/python
printf 'Python: '
coverage report --format=total
gcovr --root . --filter native/ --exclude native/tests/ --exclude native/vendor/ \
    --html-details build/coverage/native.html --print-summary build/covered | sed -n 's/^lines: /C: /p'
exit "$failed"
