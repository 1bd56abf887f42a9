#!/bin/sh
# A sample layout, what is in it, what a prune would do, the prune, and the proof that all that is left is sound.
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"

show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

show ocigc synth --seed 7 --images 12 --in-use in-use.json mirror
show ocigc ls --in-use in-use.json mirror
show ocigc prune --all --in-use in-use.json --grace 0s --dry-run mirror
show ocigc prune --all --in-use in-use.json --grace 0s --force mirror
show ocigc ls --in-use in-use.json mirror
show ocigc verify mirror
