# Every recipe works on a machine with Rust 1.95 and Node 20 only (the tests also need Python 3.11): `npx rust-just <recipe>`.
# Rust is always built as one workspace in one profile, so that every recipe shares one set of artefacts.

set shell := ["bash", "-euo", "pipefail", "-c"]

baton := "target/debug/baton"
stages := "--bench primitives --bench engine --bench pool --bench batch --bench rpc"

# List the recipes.
default:
    @just --list 2>/dev/null || npx rust-just --list

# Start L1, four sequencers, a follower, the index, the API and its page; Ctrl-C stops everything.
devnet *args: tools build
    @exec {{ baton }} devnet {{ args }}

# Every test: Rust, Solidity, end-to-end.
test: tools test-tools test-sol test-unit test-e2e

# What must pass before a commit, without the slow scenarios.
check: tools fmt-check lint test-sol test-unit

# Format Rust and Solidity.
fmt: tools
    cargo fmt --all
    scripts/forge.sh fmt --root contracts

# Fail if something is not formatted.
fmt-check: tools
    cargo fmt --all --check
    scripts/forge.sh fmt --root contracts --check

# Compiler and clippy warnings are errors here.
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Build the binary and every test.
build:
    cargo build --workspace --lib --bins --tests

# Tests beside the code and the deterministic simulation.
test-unit: tools build
    scripts/nextest.sh 'not package(baton-tests)'

# The contracts' tests.
test-sol: tools
    cd contracts && ../scripts/forge.sh test

# The invariants of money, 512 sequences of 500 calls, checked after every tenth and the last: ten minutes.
invariants: tools
    cd contracts && FOUNDRY_INVARIANT_RUNS=512 FOUNDRY_INVARIANT_DEPTH=500 FOUNDRY_INVARIANT_CHECK_INTERVAL=10 ../scripts/forge.sh test --match-contract Invariants

# Rust and Solidity on ten thousand random cases of each kind.
differential: tools
    cargo test --workspace --test differential
    cd contracts && BATON_DIFFERENTIAL=10000 ../scripts/forge.sh test --match-path 'test/differential/*'

# Random blocks by the engine and an independent EVM: `ethereumjs`, or `eels` (the executable specification).
differential-evm blocks="10000" witness="ethereumjs" seed="3872": tools
    scripts/differential-evm.sh {{ blocks }} {{ witness }} {{ seed }}

# ethereum/tests' GeneralStateTests, from a checkout of that repository, on the executor.
statetests path: build
    {{ baton }} evm statetest --summary {{ path }}

# Symbolic proofs of the contracts' arithmetic (halmos).
prove *args: tools
    scripts/halmos.sh {{ args }}

# Static analysis of the contracts: fails on a finding of high or medium impact that nobody has explained.
slither: tools
    scripts/slither.sh

# Break the contracts, one operator at a time, and see whether a test notices.
mutate seed="1" minutes="60": tools
    node contracts/test/mutate.mjs {{ seed }} --minutes {{ minutes }}

# Scenarios over real Anvil, Postgres and processes.
test-e2e: tools test-tools build
    scripts/nextest.sh 'package(baton-tests)'

# The deterministic simulation alone, with many seeds.
sim seeds="64": build
    BATON_SIM_SEEDS={{ seeds }} scripts/nextest.sh 'test(/simulat/)'

# A million changed requests, transactions and WebSocket frames: no panic, no fault, bounded memory. The same seed, the same inputs.
fuzz inputs="1000000" seed="1": build
    BATON_FUZZ_INPUTS={{ inputs }} BATON_FUZZ_SEED={{ seed }} cargo test --workspace --lib -- fuzz:: --nocapture

# Property tests with more cases than usual.
properties cases="20000": tools build
    PROPTEST_CASES={{ cases }} scripts/nextest.sh 'not package(baton-tests)'
    cd contracts && FOUNDRY_FUZZ_RUNS={{ cases }} ../scripts/forge.sh test

# Transfers per second and time to finality, side by side with Anvil in the same run (optimized build).
bench *args: tools
    cargo build --workspace --release --bin baton
    target/release/baton bench {{ args }}

# What each stage of the work costs, one micro-benchmark each (criterion; give a name to choose, `--save-baseline NAME` to compare).
bench-stages *args:
    cargo bench --workspace {{ stages }} -- {{ args }}

# Whole blocks: `block [accounts..]`, `mix`, `memory` or `tokens [accounts] [transactions]`, `logs [blocks]` or `restart [blocks]`, as Markdown tables.
bench-blocks *args:
    cargo bench --workspace --bench engine -- {{ args }}

# How costs grow with accounts, height, block size, backlog and connections, as Markdown tables.
growth:
    cargo bench --workspace --bench engine --bench pool --bench rpc -- growth

# Rewrite the committed gas snapshots.
snapshot: tools
    cd contracts && FORGE_SNAPSHOT_CHECK=false ../scripts/forge.sh test

# Rewrite the contracts' ABIs and bytecode in `crates/bindings` from the sources.
bindings: tools
    BATON_WRITE_ARTIFACTS=1 cargo test --workspace --test artifacts

# The dashboard is one plain file, served as it is: open it on a running devnet.
ui:
    @{{ baton }} devnet status --json | node -e 'console.log(JSON.parse(require("fs").readFileSync(0)).endpoints.page)'

# API documentation of every crate.
docs:
    cargo doc --workspace --no-deps

# Check versions and install the pinned tools: anvil, forge, cast, solc, Postgres into anvil/node_modules.
tools:
    @scripts/tools.sh

# web3.py's own provider suite against a young chain (below height 12,345, with its whole history), case by case; also a scenario.
web3py rpc key: test-tools
    tests/clients/web3py.sh {{ rpc }} {{ key }}

# Check Python's version and install web3.py and its suite into tests/clients/web3py/.venv.
test-tools:
    @scripts/test-tools.sh
