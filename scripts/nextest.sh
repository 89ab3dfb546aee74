#!/usr/bin/env bash
# Runs the tests that a nextest filter names; without cargo-nextest, the same tests with `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."
filter=$1

if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --workspace --no-tests=pass -E "$filter"
fi

# targets FILE... : `--test NAME` for each test file. Always of the whole workspace: another selection of packages would
# resolve other features and compile every dependency again.
targets() {
    for file in "$@"; do
        case $file in
            */main.rs) name=$(basename "$(dirname "$file")") ;;
            *) name=$(basename "$file" .rs) ;;
        esac
        printf -- '--test %s ' "$name"
    done
}

echo "cargo-nextest is not installed: using cargo test (slower; 'cargo install cargo-nextest --locked' gets it)"
case $filter in
    'not package(baton-tests)')
        # shellcheck disable=SC2046
        exec cargo test --workspace --lib --bins $(targets crates/*/tests/*.rs crates/*/tests/*/main.rs) ;;
    # Scenarios start many processes each: one at a time.
    'package(baton-tests)')
        # shellcheck disable=SC2046
        exec cargo test --workspace $(targets tests/tests/*.rs) -- --test-threads=1 ;;
    'test(/'*'/)') name=${filter#test(/}; exec cargo test --workspace --lib -- "${name%/)}" ;;
    *) echo "error: no cargo test equivalent of the filter: $filter" >&2; exit 1 ;;
esac
