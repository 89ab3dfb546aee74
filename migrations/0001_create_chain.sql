-- What the chains said, append-only. A row is written in the transaction that moves the cursor over its block, and goes
-- when that block goes: everything hangs on its L1 or L2 block by ON DELETE CASCADE, so that a revert is one DELETE.
-- Nothing here is state that must be undone: current states are views (0002_create_views.sql).

CREATE SCHEMA chain;
COMMENT ON SCHEMA chain IS 'What L1 and L2 said, one row per event, block or transaction. Read the views of schema baton instead: their names are stable.';

CREATE DOMAIN chain.uint256 AS NUMERIC(78, 0) CHECK (VALUE >= 0);
CREATE DOMAIN chain.address AS BYTEA CHECK (octet_length(VALUE) = 20);
CREATE DOMAIN chain.hash AS BYTEA CHECK (octet_length(VALUE) = 32);

-- Which chain this database is about, and how far it knows it -------------------------------------------------------------

CREATE TABLE chain.identity (
    single BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (single),
    l1_chain_id BIGINT NOT NULL,
    l2_chain_id BIGINT NOT NULL,
    deployment_block BIGINT NOT NULL,
    genesis_hash chain.hash NOT NULL,
    staking chain.address NOT NULL,
    pool chain.address NOT NULL,
    inbox chain.address NOT NULL,
    portal chain.address NOT NULL,
    revenue chain.address NOT NULL,
    epoch_blocks BIGINT NOT NULL CHECK (epoch_blocks > 0),
    term_views BIGINT NOT NULL CHECK (term_views > 0),
    unbonding_seconds BIGINT NOT NULL
);
COMMENT ON TABLE chain.identity IS 'The chain this database is about; an indexer of another chain refuses it.';

CREATE TABLE chain.cursors (
    chain TEXT PRIMARY KEY CHECK (chain IN ('l1', 'l2')),
    number BIGINT NOT NULL,
    hash chain.hash NOT NULL,
    head BIGINT NOT NULL,
    finalized BIGINT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON TABLE chain.cursors IS 'The last block written, per chain, and the head and finalized block last seen.';

-- L1 ----------------------------------------------------------------------------------------------------------------------

CREATE TABLE chain.l1_blocks (
    number BIGINT PRIMARY KEY,
    hash chain.hash NOT NULL UNIQUE,
    parent_hash chain.hash NOT NULL,
    time TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE chain.l1_blocks IS 'L1 blocks: every one above the finalized block of its time; below, those that hold an event.';

CREATE TABLE chain.l1_events (
    l1_block BIGINT NOT NULL REFERENCES chain.l1_blocks (number) ON DELETE CASCADE,
    log_index BIGINT NOT NULL,
    transaction_hash chain.hash NOT NULL,
    contract TEXT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (l1_block, log_index)
);
CREATE INDEX l1_events_by_name ON chain.l1_events (event, l1_block DESC, log_index DESC);
CREATE INDEX l1_events_by_transaction ON chain.l1_events (transaction_hash);
COMMENT ON TABLE chain.l1_events IS 'Every event of Baton''s contracts on L1, in order; its fields are in the table of its kind.';

-- Staking
CREATE TABLE chain.sequencer_creations (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL UNIQUE,
    owner chain.address NOT NULL,
    commission INTEGER NOT NULL,
    max_commission INTEGER NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.stake_changes (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('bonded', 'delegated', 'exit_requested', 'slashed')),
    sequencer BIGINT NOT NULL,
    account chain.address,
    self_stake BOOLEAN,
    amount chain.uint256 NOT NULL,
    account_shares chain.uint256,
    stake chain.uint256 NOT NULL,
    shares chain.uint256,
    period BIGINT,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX stake_changes_by_sequencer ON chain.stake_changes (sequencer, l1_block DESC, log_index DESC);
CREATE INDEX stake_changes_by_account ON chain.stake_changes (account, sequencer, l1_block DESC, log_index DESC);
COMMENT ON TABLE chain.stake_changes IS 'Every change of stake, with the state after it. A slash has no account: it takes from all.';
CREATE TABLE chain.exits (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    exit_id BIGINT NOT NULL UNIQUE,
    sequencer BIGINT NOT NULL,
    account chain.address NOT NULL,
    self_stake BOOLEAN NOT NULL,
    amount chain.uint256 NOT NULL,
    ready_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX exits_by_account ON chain.exits (account, exit_id DESC);
CREATE TABLE chain.exit_payments (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    exit_id BIGINT NOT NULL UNIQUE,
    sequencer BIGINT NOT NULL,
    account chain.address NOT NULL,
    amount chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.commission_changes (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    commission INTEGER NOT NULL,
    period BIGINT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX commission_changes_by_sequencer ON chain.commission_changes (sequencer, l1_block DESC, log_index DESC);
CREATE TABLE chain.slashes (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    snapshot BIGINT NOT NULL,
    amount chain.uint256 NOT NULL,
    unbonding_amount chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.periods (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    period BIGINT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);

-- SequencerPool
CREATE TABLE chain.registrations (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    operator chain.address NOT NULL,
    identity chain.hash NOT NULL,
    bls_key BYTEA NOT NULL,
    endpoint TEXT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX registrations_by_sequencer ON chain.registrations (sequencer, l1_block DESC, log_index DESC);
CREATE INDEX registrations_by_operator ON chain.registrations (operator);
CREATE TABLE chain.membership_changes (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    change TEXT NOT NULL CHECK (change IN ('activated', 'deactivated', 'jailed')),
    reason TEXT,
    nonce BIGINT,
    period BIGINT,
    until TIMESTAMPTZ,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX membership_changes_by_sequencer ON chain.membership_changes (sequencer, l1_block DESC, log_index DESC);
CREATE TABLE chain.snapshots (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    snapshot BIGINT NOT NULL UNIQUE,
    taken_block BIGINT NOT NULL,
    total_stake chain.uint256 NOT NULL,
    members BIGINT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.snapshot_members (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    snapshot BIGINT NOT NULL,
    position BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    stake chain.uint256 NOT NULL,
    shares chain.uint256 NOT NULL,
    commission INTEGER NOT NULL,
    PRIMARY KEY (snapshot, position),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX snapshot_members_by_event ON chain.snapshot_members (l1_block, log_index);
CREATE INDEX snapshot_members_by_sequencer ON chain.snapshot_members (sequencer, snapshot);
CREATE TABLE chain.snapshot_seals (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    snapshot BIGINT NOT NULL UNIQUE,
    seal_block BIGINT NOT NULL,
    seed chain.hash NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);

-- BatchInbox
CREATE TABLE chain.starts (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    block_hash chain.hash NOT NULL,
    state_root chain.hash NOT NULL,
    time TIMESTAMPTZ NOT NULL,
    origin_number BIGINT NOT NULL,
    origin_hash chain.hash NOT NULL,
    supply chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.batches (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    batch BIGINT NOT NULL UNIQUE,
    core_hash chain.hash NOT NULL,
    poster chain.address NOT NULL,
    version INTEGER NOT NULL,
    generation BIGINT NOT NULL,
    previous chain.hash NOT NULL,
    epoch BIGINT NOT NULL,
    snapshot BIGINT NOT NULL,
    first_height BIGINT NOT NULL,
    last_height BIGINT NOT NULL,
    last_view BIGINT NOT NULL,
    last_block chain.hash NOT NULL,
    last_time TIMESTAMPTZ NOT NULL,
    state_root chain.hash NOT NULL,
    origin_number BIGINT NOT NULL,
    origin_hash chain.hash NOT NULL,
    deposits BIGINT NOT NULL,
    withdrawals_root chain.hash NOT NULL,
    closing BOOLEAN NOT NULL,
    fees chain.uint256 NOT NULL,
    performance chain.hash NOT NULL,
    next_snapshot BIGINT NOT NULL,
    data_hash chain.hash NOT NULL,
    lane TEXT NOT NULL CHECK (lane IN ('blobs', 'calldata')),
    blobs INTEGER NOT NULL,
    signers chain.uint256 NOT NULL,
    signer_count INTEGER NOT NULL,
    gas_used BIGINT NOT NULL,
    gas_price chain.uint256 NOT NULL,
    blob_gas_used BIGINT NOT NULL,
    blob_gas_price chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX batches_by_last_height ON chain.batches (last_height);
CREATE INDEX batches_by_epoch ON chain.batches (epoch, batch);
COMMENT ON TABLE chain.batches IS 'Accepted batches: the core, its certificate''s signers and what the posting transaction used of L1.';
CREATE TABLE chain.batch_blobs (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    batch BIGINT NOT NULL,
    position BIGINT NOT NULL,
    versioned_hash chain.hash NOT NULL,
    PRIMARY KEY (batch, position),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX batch_blobs_by_event ON chain.batch_blobs (l1_block, log_index);
CREATE TABLE chain.batch_data (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    batch BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    data_keccak chain.hash NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX batch_data_by_batch ON chain.batch_data (batch);
CREATE TABLE chain.performances (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    snapshot BIGINT NOT NULL,
    position BIGINT NOT NULL,
    blocks_led BIGINT NOT NULL,
    terms_missed BIGINT NOT NULL,
    PRIMARY KEY (epoch, position),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX performances_by_event ON chain.performances (l1_block, log_index);
CREATE TABLE chain.epoch_openings (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    epoch BIGINT NOT NULL UNIQUE,
    snapshot BIGINT NOT NULL,
    first_height BIGINT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.duty_misses (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    batch BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    poster chain.address NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX duty_misses_by_batch ON chain.duty_misses (batch);
CREATE INDEX duty_misses_by_sequencer ON chain.duty_misses (sequencer, batch);

-- Portal
CREATE TABLE chain.deposits (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    deposit BIGINT NOT NULL UNIQUE,
    sender chain.address NOT NULL,
    recipient chain.address,
    mint chain.uint256 NOT NULL,
    value chain.uint256 NOT NULL,
    gas BIGINT NOT NULL,
    data BYTEA NOT NULL,
    l2_transaction chain.hash NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX deposits_by_sender ON chain.deposits (sender, deposit DESC);
CREATE INDEX deposits_by_l2_transaction ON chain.deposits (l2_transaction);
COMMENT ON COLUMN chain.deposits.recipient IS 'Receiver on L2; NULL if the deposit creates a contract.';
COMMENT ON COLUMN chain.deposits.l2_transaction IS 'Hash of the L2 transaction that executes the deposit.';
CREATE TABLE chain.message_roots (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    root_id BIGINT NOT NULL UNIQUE,
    batch BIGINT NOT NULL,
    root chain.hash NOT NULL,
    open_block BIGINT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.withdrawals (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    withdrawal chain.hash NOT NULL,
    sender chain.address NOT NULL,
    target chain.address NOT NULL,
    nonce chain.uint256 NOT NULL,
    value chain.uint256 NOT NULL,
    success BOOLEAN NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX withdrawals_by_id ON chain.withdrawals (withdrawal);
CREATE TABLE chain.portal_payments (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('fees_paid', 'funded')),
    amount chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);

-- RevenueShare
CREATE TABLE chain.debts (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    debt BIGINT NOT NULL UNIQUE,
    batch BIGINT NOT NULL,
    poster chain.address NOT NULL,
    amount chain.uint256 NOT NULL,
    total_debts chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX debts_by_batch ON chain.debts (batch);
CREATE INDEX debts_by_poster ON chain.debts (poster, debt DESC);
CREATE TABLE chain.epoch_closings (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    epoch BIGINT NOT NULL UNIQUE,
    snapshot BIGINT NOT NULL,
    fees chain.uint256 NOT NULL,
    debts_paid chain.uint256 NOT NULL,
    treasury chain.uint256 NOT NULL,
    producers chain.uint256 NOT NULL,
    attesters chain.uint256 NOT NULL,
    carry chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.incomes (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    position BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    producer chain.uint256 NOT NULL,
    attester chain.uint256 NOT NULL,
    commission chain.uint256 NOT NULL,
    share_index chain.uint256 NOT NULL,
    PRIMARY KEY (epoch, position),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX incomes_by_event ON chain.incomes (l1_block, log_index);
CREATE INDEX incomes_by_sequencer ON chain.incomes (sequencer, epoch);
COMMENT ON COLUMN chain.incomes.share_index IS 'Wei per share times 2^96, over all time, after the epoch.';
CREATE TABLE chain.claims (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    account chain.address NOT NULL,
    receiver chain.address NOT NULL,
    owner BOOLEAN NOT NULL,
    amount chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX claims_by_account ON chain.claims (account, sequencer, l1_block DESC, log_index DESC);
CREATE INDEX claims_by_sequencer ON chain.claims (sequencer, l1_block DESC, log_index DESC);
CREATE TABLE chain.debt_claims (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    debt BIGINT NOT NULL,
    poster chain.address NOT NULL,
    amount chain.uint256 NOT NULL,
    fully BOOLEAN NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX debt_claims_by_debt ON chain.debt_claims (debt);
CREATE TABLE chain.treasury_claims (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    treasury chain.address NOT NULL,
    amount chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);

-- L2 ----------------------------------------------------------------------------------------------------------------------

CREATE TABLE chain.blocks (
    number BIGINT PRIMARY KEY,
    hash chain.hash NOT NULL UNIQUE,
    parent_hash chain.hash NOT NULL,
    time TIMESTAMPTZ NOT NULL,
    epoch BIGINT NOT NULL,
    term BIGINT NOT NULL,
    view BIGINT NOT NULL,
    parent_view BIGINT NOT NULL,
    origin_number BIGINT,
    origin_hash chain.hash,
    deposits BIGINT NOT NULL,
    state_root chain.hash NOT NULL,
    transactions_root chain.hash NOT NULL,
    receipts_root chain.hash NOT NULL,
    gas_used BIGINT NOT NULL,
    gas_limit BIGINT NOT NULL,
    base_fee chain.uint256 NOT NULL,
    transactions BIGINT NOT NULL
);
CREATE INDEX blocks_by_epoch ON chain.blocks (epoch, term, number);
CREATE INDEX blocks_by_time ON chain.blocks (time);
COMMENT ON TABLE chain.blocks IS 'Final L2 blocks, without gaps from the genesis on.';
COMMENT ON COLUMN chain.blocks.origin_number IS 'The L1 block that this block builds its L1 view on; NULL for the genesis.';
COMMENT ON COLUMN chain.blocks.deposits IS 'Deposits executed in total, this block''s included.';

CREATE TABLE chain.transactions (
    block BIGINT NOT NULL REFERENCES chain.blocks (number) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    hash chain.hash NOT NULL UNIQUE,
    kind SMALLINT NOT NULL,
    sender chain.address NOT NULL,
    recipient chain.address,
    nonce BIGINT NOT NULL,
    value chain.uint256 NOT NULL,
    gas_limit BIGINT NOT NULL,
    max_fee chain.uint256 NOT NULL,
    max_priority_fee chain.uint256,
    input BYTEA NOT NULL,
    mint chain.uint256,
    source_hash chain.hash,
    PRIMARY KEY (block, position)
);
CREATE INDEX transactions_by_sender ON chain.transactions (sender, block DESC, position DESC);
CREATE INDEX transactions_by_recipient ON chain.transactions (recipient, block DESC, position DESC);
COMMENT ON COLUMN chain.transactions.kind IS 'EIP-2718 type: 0, 1, 2, 4, or 126 (0x7E) for a deposit.';
COMMENT ON COLUMN chain.transactions.recipient IS 'NULL for a contract creation.';
COMMENT ON COLUMN chain.transactions.mint IS 'Wei created on L2; only for deposits, NULL for all else.';

CREATE TABLE chain.receipts (
    block BIGINT NOT NULL,
    position BIGINT NOT NULL,
    status BOOLEAN NOT NULL,
    gas_used BIGINT NOT NULL,
    cumulative_gas_used BIGINT NOT NULL,
    effective_gas_price chain.uint256 NOT NULL,
    contract_address chain.address,
    PRIMARY KEY (block, position),
    FOREIGN KEY (block, position) REFERENCES chain.transactions ON DELETE CASCADE
);

CREATE TABLE chain.logs (
    block BIGINT NOT NULL,
    log_index BIGINT NOT NULL,
    position BIGINT NOT NULL,
    address chain.address NOT NULL,
    topic0 chain.hash,
    topic1 chain.hash,
    topic2 chain.hash,
    topic3 chain.hash,
    data BYTEA NOT NULL,
    PRIMARY KEY (block, log_index),
    FOREIGN KEY (block, position) REFERENCES chain.transactions ON DELETE CASCADE
);
CREATE INDEX logs_by_transaction ON chain.logs (block, position);
CREATE INDEX logs_by_address ON chain.logs (address, topic0, block DESC, log_index DESC);

-- Both chains: the schedule. Recomputed from a snapshot whenever rows are missing; goes with the snapshot's seal.
CREATE TABLE chain.terms (
    epoch BIGINT NOT NULL,
    term BIGINT NOT NULL,
    snapshot BIGINT NOT NULL REFERENCES chain.snapshot_seals (snapshot) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    PRIMARY KEY (epoch, term)
);
CREATE INDEX terms_by_snapshot ON chain.terms (snapshot);
CREATE INDEX terms_by_sequencer ON chain.terms (sequencer, epoch, term);
COMMENT ON TABLE chain.terms IS 'Who leads: the member drawn from the epoch''s snapshot for each term, past and next ones.';
