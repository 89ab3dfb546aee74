#!/usr/bin/env bash
# Runs the pinned forge itself: the launcher that npm puts into .bin ends with 0 whatever forge ends with.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
binaries=("$root"/anvil/node_modules/@foundry-rs/forge-*/bin/forge)
[ -x "${binaries[0]}" ] || { echo "error: forge is not installed; run 'npm ci --prefix anvil'" >&2; exit 1; }
exec "${binaries[0]}" "$@"
