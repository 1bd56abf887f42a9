#!/bin/sh
# A sample layout, what is in it, what a prune would do, the prune, and the proof that all that is left is sound.
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
layout=$directory/mirror
in_use=$directory/in-use.json

show() {
    printf '\n$ %s\n' "$*"
    "$@"
}

show ocigc synth --seed 7 --images 12 --in-use "$in_use" "$layout"
show ocigc ls --in-use "$in_use" "$layout"
show ocigc prune --all --in-use "$in_use" --grace 0s --dry-run "$layout"
show ocigc prune --all --in-use "$in_use" --grace 0s --force "$layout"
show ocigc ls --in-use "$in_use" "$layout"
show ocigc verify "$layout"
