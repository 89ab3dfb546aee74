#!/usr/bin/env bash
# Runs the tests that a nextest filter names; without cargo-nextest, the same tests with `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."
filter=$1

if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --workspace --no-tests=pass -E "$filter"
fi

echo "cargo-nextest is not installed: using cargo test (slower; 'cargo install cargo-nextest --locked' gets it)"
case $filter in
    'not package(baton-tests)') exec cargo test --workspace --all-targets --exclude baton-tests ;;
    # Scenarios start many processes each: one at a time.
    'package(baton-tests)') exec cargo test --workspace --test '*' -- --test-threads=1 ;;
    'test(/'*'/)') name=${filter#test(/}; exec cargo test --workspace --lib -- "${name%/)}" ;;
    *) echo "error: no cargo test equivalent of the filter: $filter" >&2; exit 1 ;;
esac
