//! The tables of schema `chain` as the code sees them, and what fills them. `migrations/` are the other
//! side; a test holds the two together.

pub(crate) mod l1;
pub(crate) mod l2;

use crate::table::{Kind, Table};

macro_rules! tables {
    ($($id:ident = $name:ident by $block:ident { $($column:ident $kind:ident),+ $(,)? })+) => {
        $(pub(crate) static $id: Table = Table {
            name: concat!("chain.", stringify!($name)),
            block: stringify!($block),
            columns: &[$((stringify!($column), Kind::$kind)),+],
        };)+

        /// Every table, owners before what hangs on them.
        pub(crate) static TABLES: &[&Table] = &[$(&$id),+];
    };
}

tables! {
    L1_BLOCKS = l1_blocks by number { number Int, hash Bytes, parent_hash Bytes, time Time }
    L1_EVENTS = l1_events by l1_block { l1_block Int, log_index Int, transaction_hash Bytes, contract Text, event Text }
    SEQUENCER_CREATIONS = sequencer_creations by l1_block {
        l1_block Int, log_index Int, sequencer Int, owner Bytes, commission Int, max_commission Int,
    }
    STAKE_CHANGES = stake_changes by l1_block {
        l1_block Int, log_index Int, kind Text, sequencer Int, account Bytes, self_stake Bool, amount Numeric,
        account_shares Numeric, stake Numeric, shares Numeric, period Int,
    }
    EXITS = exits by l1_block {
        l1_block Int, log_index Int, exit_id Int, sequencer Int, account Bytes, self_stake Bool, amount Numeric, ready_at Time,
    }
    EXIT_PAYMENTS = exit_payments by l1_block {
        l1_block Int, log_index Int, exit_id Int, sequencer Int, account Bytes, amount Numeric,
    }
    COMMISSION_CHANGES = commission_changes by l1_block {
        l1_block Int, log_index Int, sequencer Int, commission Int, period Int,
    }
    SLASHES = slashes by l1_block {
        l1_block Int, log_index Int, sequencer Int, snapshot Int, amount Numeric, unbonding_amount Numeric,
    }
    SPARED_SHARES = spared_shares by l1_block {
        l1_block Int, log_index Int, sequencer Int, snapshot Int, spared Numeric, bonus Numeric, shares Numeric, period Int,
    }
    OWNER_PROPOSALS = owner_proposals by l1_block { l1_block Int, log_index Int, sequencer Int, owner Bytes, proposed Bytes }
    OWNER_CHANGES = owner_changes by l1_block { l1_block Int, log_index Int, sequencer Int, previous Bytes, owner Bytes }
    SWITCHES = switches by l1_block {
        l1_block Int, log_index Int, from_sequencer Int, to_sequencer Int, account Bytes, amount Numeric, ready_at Time,
        period Int,
    }
    SWITCH_SLASHES = switch_slashes by l1_block {
        l1_block Int, log_index Int, from_sequencer Int, to_sequencer Int, account Bytes, amount Numeric,
    }
    SLASHED_RELEASES = slashed_releases by l1_block {
        l1_block Int, log_index Int, receiver Bytes, amount Numeric, total_slashed Numeric,
    }
    ENTRY_RULES = entry_rules by l1_block {
        l1_block Int, log_index Int, min_stake Numeric, max_stake Numeric, paused Bool,
    }
    DOWNTIMES = downtimes by l1_block { l1_block Int, log_index Int, sequencer Int, from_epoch Int, to_epoch Int }
    OFFENCES = offences by l1_block {
        l1_block Int, log_index Int, sequencer Int, epoch Int, reporter Bytes, repeated Bool, slashed Numeric, bounty Numeric,
        receiver Bytes, jailed_until Time,
    }
    ABSENCES = absences by l1_block {
        l1_block Int, log_index Int, sequencer Int, epoch Int, missed Numeric, drawn Numeric, jailed_until Time,
    }
    BURNS = burns by l1_block { l1_block Int, log_index Int, amount Numeric }
    BOUNTY_STEPS = bounty_steps by l1_block {
        l1_block Int, log_index Int, step Text, receiver Bytes, sequencer Int, epoch Int, amount Numeric,
    }
    COMMITMENTS = commitments by l1_block { l1_block Int, log_index Int, account Bytes, commitment Bytes }
    PROFILES = profiles by l1_block {
        l1_block Int, log_index Int, sequencer Int, owner Bytes, name Text, url Text, logo_hash Bytes,
    }
    GENERATION_RAISES = generation_raises by l1_block {
        l1_block Int, log_index Int, generation Int, epoch Int, last_height Int,
    }
    RESUMPTIONS = resumptions by l1_block {
        l1_block Int, log_index Int, generation Int, snapshot Int, last_epoch Int, last_height Int,
    }
    RECOVERY_STEPS = recovery_steps by l1_block {
        l1_block Int, log_index Int, step Text, generation Int, snapshot Int, sequencer Int, height Int, block_hash Bytes,
        ready_stake Numeric, total_stake Numeric, window_end Time,
    }
    EMISSION_FUNDINGS = emission_fundings by l1_block {
        l1_block Int, log_index Int, account Bytes, amount Numeric, unreleased Numeric,
    }
    TOKEN_INCOMES = token_incomes by l1_block {
        l1_block Int, log_index Int, epoch Int, position Int, sequencer Int, attester Numeric, commission Numeric,
        share_index Numeric,
    }
    TOKEN_CLAIMS = token_claims by l1_block {
        l1_block Int, log_index Int, sequencer Int, account Bytes, receiver Bytes, owner Bool, amount Numeric,
    }
    DUTY_FORFEITS = duty_forfeits by l1_block {
        l1_block Int, log_index Int, epoch Int, sequencer Int, poster Bytes, amount Numeric,
    }
    FORFEIT_CLAIMS = forfeit_claims by l1_block { l1_block Int, log_index Int, poster Bytes, receiver Bytes, amount Numeric }
    PARAMETER_SETS = parameter_sets by l1_block { l1_block Int, log_index Int, parameters Text }
    PERIODS = periods by l1_block { l1_block Int, log_index Int, period Int }
    REGISTRATIONS = registrations by l1_block {
        l1_block Int, log_index Int, sequencer Int, operator Bytes, identity Bytes, bls_key Bytes, endpoint Text,
    }
    MEMBERSHIP_CHANGES = membership_changes by l1_block {
        l1_block Int, log_index Int, sequencer Int, change Text, reason Text, nonce Int, period Int, until Time,
    }
    SNAPSHOTS = snapshots by l1_block {
        l1_block Int, log_index Int, snapshot Int, taken_block Int, total_stake Numeric, members Int,
    }
    SNAPSHOT_MEMBERS = snapshot_members by l1_block {
        l1_block Int, log_index Int, snapshot Int, position Int, sequencer Int, stake Numeric, shares Numeric, commission Int,
    }
    SNAPSHOT_SEALS = snapshot_seals by l1_block { l1_block Int, log_index Int, snapshot Int, seal_block Int, seed Bytes }
    STARTS = starts by l1_block {
        l1_block Int, log_index Int, block_hash Bytes, state_root Bytes, time Time, origin_number Int, origin_hash Bytes,
        supply Numeric,
    }
    BATCHES = batches by l1_block {
        l1_block Int, log_index Int, batch Int, core_hash Bytes, poster Bytes, version Int, generation Int, previous Bytes,
        epoch Int, snapshot Int, first_height Int, last_height Int, last_view Int, last_block Bytes, last_time Time,
        state_root Bytes, origin_number Int, origin_hash Bytes, deposits Int, withdrawals_root Bytes, closing Bool,
        fees Numeric, performance Bytes, next_snapshot Int, data_hash Bytes, lane Text, blobs Int, signers Numeric,
        signer_count Int, gas_used Int, gas_price Numeric, blob_gas_used Int, blob_gas_price Numeric,
    }
    BATCH_BLOBS = batch_blobs by l1_block { l1_block Int, log_index Int, batch Int, position Int, versioned_hash Bytes }
    BATCH_DATA = batch_data by l1_block { l1_block Int, log_index Int, batch Int, bytes Int, data_keccak Bytes }
    PERFORMANCES = performances by l1_block {
        l1_block Int, log_index Int, epoch Int, snapshot Int, position Int, blocks_led Int, terms_missed Int,
    }
    EPOCH_OPENINGS = epoch_openings by l1_block { l1_block Int, log_index Int, epoch Int, snapshot Int, first_height Int }
    DUTY_MISSES = duty_misses by l1_block { l1_block Int, log_index Int, batch Int, sequencer Int, poster Bytes }
    DEPOSITS = deposits by l1_block {
        l1_block Int, log_index Int, deposit Int, sender Bytes, recipient Bytes, mint Numeric, value Numeric, gas Int,
        data Bytes, l2_transaction Bytes, fee Numeric,
    }
    MESSAGE_ROOTS = message_roots by l1_block {
        l1_block Int, log_index Int, root_id Int, batch Int, root Bytes, open_block Int,
    }
    WITHDRAWALS = withdrawals by l1_block {
        l1_block Int, log_index Int, withdrawal Bytes, sender Bytes, target Bytes, nonce Numeric, value Numeric, success Bool,
    }
    PORTAL_PAYMENTS = portal_payments by l1_block { l1_block Int, log_index Int, kind Text, amount Numeric }
    DEBTS = debts by l1_block {
        l1_block Int, log_index Int, debt Int, batch Int, poster Bytes, amount Numeric, total_debts Numeric,
    }
    EPOCH_CLOSINGS = epoch_closings by l1_block {
        l1_block Int, log_index Int, epoch Int, snapshot Int, fees Numeric, debts_paid Numeric, treasury Numeric,
        producers Numeric, attesters Numeric, carry Numeric,
    }
    INCOMES = incomes by l1_block {
        l1_block Int, log_index Int, epoch Int, position Int, sequencer Int, producer Numeric, attester Numeric,
        commission Numeric, share_index Numeric,
    }
    CLAIMS = claims by l1_block {
        l1_block Int, log_index Int, sequencer Int, account Bytes, receiver Bytes, owner Bool, amount Numeric,
    }
    DEBT_CLAIMS = debt_claims by l1_block {
        l1_block Int, log_index Int, debt Int, poster Bytes, amount Numeric, fully Bool,
    }
    TREASURY_CLAIMS = treasury_claims by l1_block { l1_block Int, log_index Int, treasury Bytes, amount Numeric }
    BLOCKS = blocks by number {
        number Int, hash Bytes, parent_hash Bytes, time Time, epoch Int, term Int, view Int, parent_view Int,
        origin_number Int, origin_hash Bytes, deposits Int, state_root Bytes, transactions_root Bytes, receipts_root Bytes,
        gas_used Int, gas_limit Int, base_fee Numeric, transactions Int,
    }
    TRANSACTIONS = transactions by block {
        block Int, position Int, hash Bytes, kind Int, sender Bytes, recipient Bytes, nonce Int, value Numeric, gas_limit Int,
        max_fee Numeric, max_priority_fee Numeric, input Bytes, mint Numeric, source_hash Bytes,
    }
    RECEIPTS = receipts by block {
        block Int, position Int, status Bool, gas_used Int, cumulative_gas_used Int, effective_gas_price Numeric,
        contract_address Bytes,
    }
    LOGS = logs by block {
        block Int, log_index Int, position Int, address Bytes, topic0 Bytes, topic1 Bytes, topic2 Bytes, topic3 Bytes,
        data Bytes,
    }
}

/// Whether a table hangs on L1 blocks.
pub(crate) fn is_l1(table: &Table) -> bool {
    table.block == "l1_block" || std::ptr::eq(table, &raw const L1_BLOCKS)
}
