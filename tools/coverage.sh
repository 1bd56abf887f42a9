#!/bin/sh
# What the tests cover: Python with its subprocesses, and the C core by its own tests. Reports in build/coverage.
set -eu
rm -rf build/coverage
mkdir -p build/coverage
failed=0

"${CC:-cc}" -D_GNU_SOURCE -shared -fPIC -O2 -o build/coverage/no_landlock.so tools/no_landlock.c -ldl

# The slow kinds (other programs, faults at every system call, fuzzing) are left out: they find bugs, not lines. So are
# those of what a command loads: coverage is loaded too. Not `-m pytest`: that would import the sources, which have no
# compiled core.
LD_PRELOAD="$PWD/build/coverage/no_landlock.so" coverage run "$(command -v pytest)" -q -n auto \
    --ignore tests/interop --ignore tests/faults --ignore tests/hostile --ignore tests/cli/test_start.py "$@" ||
    failed=$?
coverage combine --quiet
coverage html --quiet -d build/coverage/python
printf 'Python: '
coverage report --format=total

meson setup --reconfigure -Dextension=false -Dtests=true -Db_coverage=true build/covered >/dev/null
meson test --quiet -C build/covered
gcovr --root . --filter native/ --exclude native/tests/ --exclude native/vendor/ \
    --html-details build/coverage/native.html --print-summary build/covered | sed -n 's/^lines: /C: /p'
exit "$failed"
