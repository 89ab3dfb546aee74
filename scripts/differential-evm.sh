#!/usr/bin/env bash
# Random blocks of random programs by the engine and by an independent EVM: every root, receipt and verdict must be the same.
# differential-evm.sh BLOCKS WITNESS SEED; WITNESS is ethereumjs, or eels (the executable specification, installed once into target/eels).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
export BATON_WITNESS_BLOCKS=$1 BATON_WITNESS_SEED=$3
case $2 in
    ethereumjs) ;;
    eels)
        if [ ! -x target/eels/bin/ethereum-spec-evm ]; then
            python3 -m venv target/eels
            target/eels/bin/pip install --quiet ethereum-execution==2.20.0
        fi
        export BATON_WITNESS="$root/target/eels/bin/python $root/crates/engine/tests/witness/eels.py" ;;
    *) echo "error: no witness is called $2: ethereumjs or eels" >&2; exit 1 ;;
esac
exec cargo test --workspace --test it state_root_equals_an_independent_evm -- --nocapture
