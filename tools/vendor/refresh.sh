#!/bin/sh
# Makes ocigc/cli/output/html/vendor anew from the npm registry. package.json pins each version, package-lock.json the
# SHA-512 of each archive: `npm ci` refuses what differs. The same lock file gives the same bytes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../../ocigc/cli/output/html/vendor}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/package.json" "$here/package-lock.json" "$here/d3.js" "$work"
cd "$work"
npm ci --silent --ignore-scripts --no-audit --no-fund
mkdir -p "$out"
node_modules/.bin/esbuild d3.js --bundle --minify --charset=ascii --format=iife --global-name=d3 --target=es2020 \
    --legal-comments=none --log-level=warning --outfile="$out/d3.min.js"
cp node_modules/uplot/dist/uPlot.iife.min.js "$out/uPlot.min.js"
cp node_modules/uplot/dist/uPlot.min.css "$out/uPlot.min.css"
{
    echo "The page of \`ocigc report\` contains these libraries."
    for package in d3-array d3-color d3-format d3-hierarchy d3-interpolate d3-path d3-scale d3-shape d3-time \
        d3-time-format internmap uplot; do
        version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "node_modules/$package/package.json")
        printf '\n%s %s\n\n' "$package" "$version"
        cat "node_modules/$package/LICENSE"
    done
} >"$out/LICENSES"
cd "$out"
sha256sum LICENSES d3.min.js uPlot.min.css uPlot.min.js >SHA256SUMS
