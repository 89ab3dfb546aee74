#!/usr/bin/env bash
# Checks that Python is there in the right version and installs the tests' client in Python, once per lock file.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

command -v python3 >/dev/null || fail "Python is missing: install version 3.11 or newer with its venv module, then run this again"
python=$(python3 -c 'import platform; print(platform.python_version())')
[ "$(printf '%s\n3.11.0\n' "$python" | sort -V | head -n 1)" = 3.11.0 ] \
    || fail "Python $python is too old, 3.11 or newer is needed: https://www.python.org"

client=tests/clients/web3py
if ! cmp -s $client/requirements.txt $client/.venv/baton-lock 2>/dev/null; then
    echo "installing web3.py and its test suite into $client/.venv"
    rm -rf $client/.venv
    python3 -m venv $client/.venv || fail "Python has no venv module: install it (Debian: python3-venv), then run this again"
    $client/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $client/requirements.txt \
        || fail "pip could not install web3.py: check the network or the registry and run 'npx rust-just test-tools' again"
    cp $client/requirements.txt $client/.venv/baton-lock
fi
