#!/usr/bin/env bash
# Checks that Rust and Node are there in the right versions and installs the pinned tools, once per lock file.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

# newer_or_same HAVE WANT
newer_or_same() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

command -v cargo >/dev/null || fail "Rust is missing: install it from https://rustup.rs, then run this again"
rust=$(rustc --version | awk '{print $2}')
newer_or_same "$rust" 1.95.0 || fail "Rust $rust is too old, 1.95 or newer is needed: run 'rustup update stable'"

command -v node >/dev/null || fail "Node is missing: install version 20 or newer from https://nodejs.org, then run this again"
node=$(node --version | tr -d v)
newer_or_same "$node" 20.0.0 || fail "Node $node is too old, 20 or newer is needed: https://nodejs.org"
command -v npm >/dev/null || fail "npm is missing: it comes with Node from https://nodejs.org"

stamp=anvil/node_modules/.baton-lock
if ! cmp -s anvil/package-lock.json "$stamp" 2>/dev/null; then
    echo "installing the pinned tools (anvil, forge, cast, solc, Postgres) into anvil/node_modules"
    npm ci --prefix anvil --no-fund --no-audit --loglevel=error \
        || fail "npm could not install the pinned tools: check the network or the registry and run 'npx rust-just tools' again"
    cp anvil/package-lock.json "$stamp"
fi
for tool in anvil forge cast; do
    anvil/node_modules/.bin/$tool --version >/dev/null 2>&1 \
        || fail "$tool does not run on this system: remove anvil/node_modules and run 'npx rust-just tools' again"
done
