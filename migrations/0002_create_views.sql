-- What the chains mean: views with stable names for analysts and the API. Hashes, addresses and keys are lower-case hex with
-- 0x, amounts are wei (of ether, or of the stake token where the comment says tokens), times are TIMESTAMPTZ.
-- A NULL is "not known or not there", never zero.

CREATE SCHEMA baton;
COMMENT ON SCHEMA baton IS 'Read here: views with stable names over schema chain. Try: SELECT * FROM baton.status;';

CREATE FUNCTION baton.hex(value BYTEA) RETURNS TEXT LANGUAGE SQL IMMUTABLE PARALLEL SAFE
    RETURN '0x' || encode(value, 'hex');
COMMENT ON FUNCTION baton.hex IS 'Lower-case hex with 0x.';
CREATE FUNCTION baton.units(wei NUMERIC) RETURNS NUMERIC LANGUAGE SQL IMMUTABLE PARALLEL SAFE
    RETURN wei / 1000000000000000000;
COMMENT ON FUNCTION baton.units IS 'Wei as ether (or token wei as tokens).';

CREATE FUNCTION baton.iso(value TIMESTAMPTZ) RETURNS TEXT LANGUAGE SQL STABLE PARALLEL SAFE
    RETURN to_char(value AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
COMMENT ON FUNCTION baton.iso IS 'ISO 8601 in UTC, with milliseconds.';

-- Progress and finality ---------------------------------------------------------------------------------------------------

CREATE VIEW baton.status AS
SELECT c.chain, c.number AS cursor, baton.hex(c.hash) AS hash, c.head, c.head - c.number AS lag_blocks, c.finalized,
       coalesce(b.time, l.time) AS block_time, c.updated_at
FROM chain.cursors c
LEFT JOIN chain.blocks b ON c.chain = 'l2' AND b.number = c.number
LEFT JOIN chain.l1_blocks l ON c.chain = 'l1' AND l.number = c.number;
COMMENT ON VIEW baton.status IS 'How far each chain is indexed: cursor, the endpoint''s head, lag in blocks, finalized block.';

CREATE VIEW baton.finality AS
SELECT (SELECT b.last_height FROM chain.batches b JOIN chain.blocks k ON k.number = b.last_height AND k.hash = b.last_block
        ORDER BY b.batch DESC LIMIT 1) AS posted_height,
       (SELECT b.last_height FROM chain.batches b JOIN chain.blocks k ON k.number = b.last_height AND k.hash = b.last_block
        WHERE b.l1_block <= (SELECT finalized FROM chain.cursors WHERE chain = 'l1')
        ORDER BY b.batch DESC LIMIT 1) AS settled_height,
       (SELECT number FROM chain.cursors WHERE chain = 'l2') AS final_height;
COMMENT ON VIEW baton.finality IS 'Heights up to which L2 is settled (on finalized L1), posted (on L1) and final (by quorum). One row.';

CREATE FUNCTION baton.finality_of(height BIGINT, posted BIGINT, settled BIGINT) RETURNS TEXT LANGUAGE SQL IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN height <= settled THEN 'settled' WHEN height <= posted THEN 'posted' ELSE 'final' END;
COMMENT ON FUNCTION baton.finality_of IS 'final, posted or settled, from a height and the two heights of baton.finality.';

-- L2 ----------------------------------------------------------------------------------------------------------------------

CREATE VIEW baton.terms AS
SELECT t.epoch, t.term, t.sequencer, t.snapshot, t.position,
       (t.term - 1) * i.term_views + 1 AS first_view, t.term * i.term_views AS last_view,
       coalesce(b.blocks, 0) AS blocks, b.first_height, b.last_height,
       coalesce(b.blocks, 0) = 0 AND EXISTS (
           SELECT 1 FROM chain.blocks l WHERE l.epoch = t.epoch AND l.term > t.term) AS missed
FROM chain.terms t
CROSS JOIN chain.identity i
LEFT JOIN LATERAL (
    SELECT count(*) AS blocks, min(number) AS first_height, max(number) AS last_height
    FROM chain.blocks k WHERE k.epoch = t.epoch AND k.term = t.term) b ON TRUE;
COMMENT ON VIEW baton.terms IS 'Who leads which term, past and next. missed: no block in it, but in a later term of its epoch.';

CREATE VIEW baton.blocks AS
SELECT b.number, baton.hex(b.hash) AS hash, baton.hex(b.parent_hash) AS parent_hash, b.time, b.epoch, b.term, b.view,
       b.parent_view, t.sequencer AS leader, b.origin_number, baton.hex(b.origin_hash) AS origin_hash, b.deposits,
       b.transactions, b.gas_used, b.gas_limit, b.base_fee, baton.hex(b.state_root) AS state_root,
       baton.hex(b.transactions_root) AS transactions_root, baton.hex(b.receipts_root) AS receipts_root,
       baton.finality_of(b.number, (SELECT posted_height FROM baton.finality),
                         (SELECT settled_height FROM baton.finality)) AS finality
FROM chain.blocks b
LEFT JOIN chain.terms t ON t.epoch = b.epoch AND t.term = b.term;
COMMENT ON VIEW baton.blocks IS 'L2 blocks with their leader (sequencer id) and finality: final, posted or settled.';

CREATE VIEW baton.transactions AS
SELECT t.block, t.position, baton.hex(t.hash) AS hash, t.kind, baton.hex(t.sender) AS sender,
       baton.hex(t.recipient) AS recipient, t.nonce, t.value, t.gas_limit, t.max_fee, t.max_priority_fee,
       baton.hex(t.input) AS input, t.mint, baton.hex(t.source_hash) AS source_hash,
       r.status, r.gas_used, r.effective_gas_price, r.gas_used * r.effective_gas_price AS fee,
       baton.hex(r.contract_address) AS contract_address, b.time, b.epoch,
       baton.finality_of(t.block, (SELECT posted_height FROM baton.finality),
                         (SELECT settled_height FROM baton.finality)) AS finality
FROM chain.transactions t
JOIN chain.receipts r ON r.block = t.block AND r.position = t.position
JOIN chain.blocks b ON b.number = t.block;
COMMENT ON VIEW baton.transactions IS 'L2 transactions with their receipts. kind: 0, 1, 2, 4, or 126 for a deposit (system transactions included). fee: wei paid.';

CREATE VIEW baton.logs AS
SELECT l.block, l.log_index, l.position, baton.hex(l.address) AS address, baton.hex(l.topic0) AS topic0,
       baton.hex(l.topic1) AS topic1, baton.hex(l.topic2) AS topic2, baton.hex(l.topic3) AS topic3,
       baton.hex(l.data) AS data, b.time
FROM chain.logs l JOIN chain.blocks b ON b.number = l.block;
COMMENT ON VIEW baton.logs IS 'L2 logs.';

-- Stake -------------------------------------------------------------------------------------------------------------------

CREATE VIEW baton.pots AS
SELECT c.sequencer, s.stake, h.shares
FROM chain.sequencer_creations c
LEFT JOIN LATERAL (SELECT stake FROM chain.stake_changes x WHERE x.sequencer = c.sequencer
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) s ON TRUE
LEFT JOIN LATERAL (SELECT shares FROM chain.stake_changes x WHERE x.sequencer = c.sequencer AND x.shares IS NOT NULL
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) h ON TRUE;
COMMENT ON VIEW baton.pots IS 'Bonded token wei of each sequencer now, and the shares that divide it.';

CREATE VIEW baton.positions AS
SELECT p.sequencer, baton.hex(p.account) AS account, p.self_stake, p.account_shares AS shares,
       -- Staking.sol: shares of the pot with a million virtual shares and one virtual wei, rounded down.
       div(p.account_shares * (pot.stake + 1), pot.shares + 1000000) AS stake, p.period AS since_snapshot
FROM (SELECT DISTINCT ON (sequencer, self_stake, account) sequencer, account, self_stake, account_shares, period
      FROM chain.stake_changes WHERE account IS NOT NULL
      ORDER BY sequencer, self_stake, account, l1_block DESC, log_index DESC) p
JOIN baton.pots pot ON pot.sequencer = p.sequencer;
COMMENT ON VIEW baton.positions IS 'Who holds how much stake behind which sequencer now (token wei). self_stake: the owner''s own.';

CREATE VIEW baton.stake_changes AS
SELECT s.l1_block, s.log_index, b.time, baton.hex(e.transaction_hash) AS transaction_hash, s.kind, s.sequencer,
       baton.hex(s.account) AS account, s.self_stake, s.amount, s.stake, s.period
FROM chain.stake_changes s
JOIN chain.l1_events e USING (l1_block, log_index)
JOIN chain.l1_blocks b ON b.number = s.l1_block;
COMMENT ON VIEW baton.stake_changes IS 'Every bond, delegation, exit request and slash. amount: token wei moved; stake: the sequencer''s after it; period: first snapshot that knows it.';

CREATE VIEW baton.exits AS
SELECT x.exit_id, x.sequencer, baton.hex(x.account) AS account, x.self_stake, x.amount, b.time AS requested_at, x.ready_at,
       p.amount AS paid, pb.time AS paid_at,
       CASE WHEN p.exit_id IS NOT NULL THEN 'paid' WHEN x.ready_at <= now() THEN 'ready' ELSE 'unbonding' END AS status
FROM chain.exits x
JOIN chain.l1_blocks b ON b.number = x.l1_block
LEFT JOIN chain.exit_payments p ON p.exit_id = x.exit_id
LEFT JOIN chain.l1_blocks pb ON pb.number = p.l1_block;
COMMENT ON VIEW baton.exits IS 'Stake on its way out: unbonding, ready (anyone may finish it) or paid.';

CREATE VIEW baton.snapshots AS
SELECT s.snapshot, s.taken_block, b.time AS taken_at, l.seal_block, baton.hex(l.seed) AS seed, s.total_stake, s.members
FROM chain.snapshots s
JOIN chain.l1_blocks b ON b.number = s.l1_block
LEFT JOIN chain.snapshot_seals l ON l.snapshot = s.snapshot;
COMMENT ON VIEW baton.snapshots IS 'Frozen active sets. Without seed: not sealed yet, so not eligible.';

CREATE VIEW baton.snapshot_members AS
SELECT m.snapshot, m.position, m.sequencer, m.stake, m.shares, m.commission, m.stake / s.total_stake AS weight
FROM chain.snapshot_members m JOIN chain.snapshots s ON s.snapshot = m.snapshot;
COMMENT ON VIEW baton.snapshot_members IS 'Members in the order of bitmaps and stake intervals. weight: share of the stake, which is the chance to lead a term.';

CREATE VIEW baton.sequencers AS
SELECT c.sequencer, baton.hex(c.owner) AS owner, baton.hex(r.operator) AS operator, baton.hex(r.identity) AS identity,
       baton.hex(r.bls_key) AS bls_key, r.endpoint,
       coalesce(p.stake, 0) AS stake, coalesce(own.stake, 0) AS self_stake, coalesce(p.stake, 0) - coalesce(own.stake, 0) AS delegated,
       coalesce(k.commission, c.commission) AS commission, c.max_commission,
       CASE WHEN m.change = 'activated' THEN 'active' WHEN m.change = 'jailed' THEN 'jailed'
            WHEN r.sequencer IS NOT NULL THEN 'registered' ELSE 'bonded' END AS status,
       m.until AS jailed_until, m.reason AS left_because, b.time AS created_at,
       coalesce(i.producer, 0) AS producer_income, coalesce(i.attester, 0) AS attester_income,
       coalesce(i.producer, 0) + coalesce(i.attester, 0) AS income,
       coalesce(f.blocks_led, 0) AS blocks_led, coalesce(f.terms_missed, 0) AS terms_missed,
       coalesce(d.misses, 0) AS duties_missed
FROM chain.sequencer_creations c
JOIN chain.l1_blocks b ON b.number = c.l1_block
LEFT JOIN baton.pots p ON p.sequencer = c.sequencer
LEFT JOIN LATERAL (SELECT div(x.account_shares * (p.stake + 1), p.shares + 1000000) AS stake
                   FROM chain.stake_changes x WHERE x.sequencer = c.sequencer AND x.self_stake
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) own ON TRUE
LEFT JOIN LATERAL (SELECT * FROM chain.registrations x WHERE x.sequencer = c.sequencer
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) r ON TRUE
LEFT JOIN LATERAL (SELECT * FROM chain.membership_changes x WHERE x.sequencer = c.sequencer
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) m ON TRUE
LEFT JOIN LATERAL (SELECT commission FROM chain.commission_changes x WHERE x.sequencer = c.sequencer
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) k ON TRUE
LEFT JOIN LATERAL (SELECT sum(producer) AS producer, sum(attester) AS attester
                   FROM chain.incomes x WHERE x.sequencer = c.sequencer) i ON TRUE
LEFT JOIN LATERAL (SELECT sum(x.blocks_led) AS blocks_led, sum(x.terms_missed) AS terms_missed
                   FROM chain.snapshot_members y
                   JOIN chain.performances x ON x.snapshot = y.snapshot AND x.position = y.position
                   WHERE y.sequencer = c.sequencer) f ON TRUE
LEFT JOIN LATERAL (SELECT count(*) AS misses FROM chain.duty_misses x WHERE x.sequencer = c.sequencer) d ON TRUE;
COMMENT ON VIEW baton.sequencers IS 'Every sequencer as it is now. Stakes in token wei, incomes in wei over all time, blocks_led and terms_missed over closed epochs. commission: basis points.';

-- Batches and epochs ------------------------------------------------------------------------------------------------------

CREATE VIEW baton.batches AS
SELECT b.batch, baton.hex(b.core_hash) AS core_hash, baton.hex(b.previous) AS previous, b.generation, b.epoch, b.snapshot,
       b.first_height, b.last_height, b.last_height - b.first_height + 1 AS blocks, b.last_view,
       baton.hex(b.last_block) AS last_block, b.last_time, baton.hex(b.state_root) AS state_root, b.origin_number,
       baton.hex(b.origin_hash) AS origin_hash, b.deposits, baton.hex(b.withdrawals_root) AS withdrawals_root, b.closing, b.fees,
       CASE WHEN b.closing THEN b.next_snapshot END AS next_snapshot, b.lane, b.blobs, d.bytes AS calldata_bytes,
       baton.hex(b.data_hash) AS data_hash, b.signers, b.signer_count, s.members,
       baton.hex(b.poster) AS poster, r.sequencer AS posted_by, t.sequencer AS on_duty, m.batch IS NOT NULL AS duty_missed,
       b.l1_block, l.time AS posted_at, baton.hex(e.transaction_hash) AS l1_transaction,
       b.gas_used, b.gas_price, b.blob_gas_used, b.blob_gas_price,
       b.gas_used * b.gas_price + b.blob_gas_used * b.blob_gas_price AS l1_fee, x.amount AS repaid,
       CASE WHEN b.l1_block <= (SELECT finalized FROM chain.cursors WHERE chain = 'l1') THEN 'settled' ELSE 'posted' END AS finality
FROM chain.batches b
JOIN chain.l1_events e USING (l1_block, log_index)
JOIN chain.l1_blocks l ON l.number = b.l1_block
CROSS JOIN chain.identity i
LEFT JOIN chain.snapshots s ON s.snapshot = b.snapshot
LEFT JOIN chain.batch_data d ON d.batch = b.batch
LEFT JOIN chain.debts x ON x.batch = b.batch
LEFT JOIN chain.duty_misses m ON m.batch = b.batch
LEFT JOIN chain.terms t ON t.epoch = b.epoch AND t.term = (b.last_view + i.term_views - 1) / i.term_views
LEFT JOIN LATERAL (SELECT sequencer FROM chain.registrations x WHERE x.operator = b.poster
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) r ON TRUE;
COMMENT ON VIEW baton.batches IS 'Accepted batches. l1_fee: wei the posting transaction cost; repaid: the debt noted for it; on_duty: who led the last view; posted_by: the sequencer whose operator posted, if any.';

CREATE VIEW baton.duties AS
SELECT batch, epoch, on_duty AS sequencer, posted_by, poster, NOT duty_missed AS done, posted_at FROM baton.batches;
COMMENT ON VIEW baton.duties IS 'Posting duty of each batch: whose it was, and whether somebody else posted after the grace.';

CREATE VIEW baton.epochs AS
SELECT o.epoch, coalesce(e.snapshot, c.snapshot, (SELECT t.snapshot FROM chain.terms t WHERE t.epoch = o.epoch LIMIT 1)) AS snapshot,
       o.epoch * i.epoch_blocks AS first_height, (o.epoch + 1) * i.epoch_blocks - 1 AS last_height,
       o.last_seen - o.epoch * i.epoch_blocks + 1 AS blocks, i.epoch_blocks AS blocks_planned,
       k.batch AS closing_batch, l.time AS closed_at, k.fees, c.treasury, c.producers, c.attesters, c.carry, c.debts_paid AS debts_paid_total,
       CASE WHEN c.epoch IS NOT NULL THEN 'closed' WHEN o.last_seen = (o.epoch + 1) * i.epoch_blocks - 1 THEN 'ended' ELSE 'running' END AS status
FROM chain.identity i
CROSS JOIN LATERAL (
    SELECT g.epoch, least((SELECT number FROM chain.cursors WHERE chain = 'l2'), (g.epoch + 1) * i.epoch_blocks - 1) AS last_seen
    FROM generate_series(0, (SELECT number FROM chain.cursors WHERE chain = 'l2') / i.epoch_blocks) AS g (epoch)) o
LEFT JOIN chain.epoch_openings e ON e.epoch = o.epoch
LEFT JOIN chain.epoch_closings c ON c.epoch = o.epoch
LEFT JOIN chain.batches k ON k.epoch = o.epoch AND k.closing
LEFT JOIN chain.l1_blocks l ON l.number = c.l1_block;
COMMENT ON VIEW baton.epochs IS 'Epochs: running, ended (last block final) or closed (its last batch on L1, its fees split: treasury, producers, attesters in wei).';

CREATE VIEW baton.performances AS
SELECT p.epoch, p.snapshot, p.position, m.sequencer, p.blocks_led, p.terms_missed
FROM chain.performances p JOIN chain.snapshot_members m ON m.snapshot = p.snapshot AND m.position = p.position;
COMMENT ON VIEW baton.performances IS 'What each member did in a closed epoch, as certified on L1.';

-- The bridge --------------------------------------------------------------------------------------------------------------

CREATE VIEW baton.deposits AS
SELECT d.deposit, baton.hex(d.sender) AS sender, baton.hex(d.recipient) AS recipient, d.mint, d.value, d.gas,
       baton.hex(d.data) AS data, d.l1_block, b.time AS deposited_at, baton.hex(e.transaction_hash) AS l1_transaction,
       baton.hex(d.l2_transaction) AS l2_transaction, t.block AS l2_block, r.status AS l2_status
FROM chain.deposits d
JOIN chain.l1_events e USING (l1_block, log_index)
JOIN chain.l1_blocks b ON b.number = d.l1_block
LEFT JOIN chain.transactions t ON t.hash = d.l2_transaction
LEFT JOIN chain.receipts r ON r.block = t.block AND r.position = t.position;
COMMENT ON VIEW baton.deposits IS 'Deposits and forced transactions, and the L2 block that executed them (NULL: not yet).';

CREATE VIEW baton.withdrawals AS
SELECT baton.hex(w.withdrawal) AS withdrawal, baton.hex(w.sender) AS sender, baton.hex(w.target) AS target, w.nonce, w.value,
       w.success, w.l1_block, b.time, baton.hex(e.transaction_hash) AS l1_transaction
FROM chain.withdrawals w
JOIN chain.l1_events e USING (l1_block, log_index)
JOIN chain.l1_blocks b ON b.number = w.l1_block;
COMMENT ON VIEW baton.withdrawals IS 'Withdrawals proven on L1; without success they may be retried, each attempt is a row.';

-- Money -------------------------------------------------------------------------------------------------------------------

CREATE VIEW baton.incomes AS
SELECT i.epoch, c.snapshot, i.position, i.sequencer, i.producer, i.attester, i.producer + i.attester AS income, i.commission,
       b.time AS credited_at
FROM chain.incomes i
JOIN chain.epoch_closings c ON c.epoch = i.epoch
JOIN chain.l1_blocks b ON b.number = i.l1_block;
COMMENT ON VIEW baton.incomes IS 'Income of each sequencer from each closed epoch, wei: for blocks led and for batches signed, commission included.';

CREATE VIEW baton.claims AS
SELECT c.l1_block, c.log_index, b.time, baton.hex(e.transaction_hash) AS transaction_hash, c.sequencer,
       baton.hex(c.account) AS account, baton.hex(c.receiver) AS receiver, c.owner, c.amount
FROM chain.claims c
JOIN chain.l1_events e USING (l1_block, log_index)
JOIN chain.l1_blocks b ON b.number = c.l1_block;
COMMENT ON VIEW baton.claims IS 'Income paid out. owner: commission and self-stake; else a delegation.';

CREATE VIEW baton.debts AS
SELECT d.debt, d.batch, baton.hex(d.poster) AS poster, d.amount,
       least(d.amount, greatest(0, coalesce((SELECT c.debts_paid FROM chain.epoch_closings c ORDER BY epoch DESC LIMIT 1), 0)
                                   - (d.total_debts - d.amount))) AS covered,
       coalesce((SELECT sum(x.amount) FROM chain.debt_claims x WHERE x.debt = d.debt), 0) AS claimed
FROM chain.debts d;
COMMENT ON VIEW baton.debts IS 'What the chain owes posters for batches: covered by fees so far (first in, first out), claimed so far. Wei.';

-- RevenueShare.sol: income of a position = floor(shares x growth of the index / 2^96), summed over spans in which neither the
-- shares changed nor a claim was made.
CREATE VIEW baton.position_incomes AS
WITH spans AS (
    SELECT sequencer, self_stake, account, account_shares, period AS first_snapshot,
           lead(period) OVER (PARTITION BY sequencer, self_stake, account ORDER BY period) AS next_snapshot
    FROM (SELECT DISTINCT ON (sequencer, self_stake, account, period) sequencer, self_stake, account, account_shares, period
          FROM chain.stake_changes WHERE account IS NOT NULL
          ORDER BY sequencer, self_stake, account, period, l1_block DESC, log_index DESC) s
), credits AS (
    SELECT i.sequencer, i.epoch, c.snapshot, i.l1_block, i.log_index, i.commission,
           i.share_index - lag(i.share_index, 1, 0::numeric) OVER (PARTITION BY i.sequencer ORDER BY i.epoch) AS growth
    FROM chain.incomes i JOIN chain.epoch_closings c ON c.epoch = i.epoch
), parts AS (
    SELECT s.sequencer, s.self_stake, s.account, s.first_snapshot,
           (SELECT count(*) FROM chain.claims x
            WHERE x.account = s.account AND x.sequencer = s.sequencer AND x.owner = s.self_stake
              AND (x.l1_block, x.log_index) < (c.l1_block, c.log_index)) AS claim,
           div(max(s.account_shares) * sum(c.growth), 79228162514264337593543950336) AS amount,
           sum(c.commission) AS commission
    FROM spans s JOIN credits c ON c.sequencer = s.sequencer
     AND c.snapshot >= s.first_snapshot AND (s.next_snapshot IS NULL OR c.snapshot < s.next_snapshot)
    GROUP BY s.sequencer, s.self_stake, s.account, s.first_snapshot, claim
), sums AS (
    SELECT p.sequencer, p.self_stake, p.account,
           sum(p.amount + CASE WHEN p.self_stake THEN p.commission ELSE 0 END) AS earned
    FROM parts p GROUP BY p.sequencer, p.self_stake, p.account
)
SELECT s.sequencer, baton.hex(s.account) AS account, s.self_stake, s.earned, coalesce(c.claimed, 0) AS claimed,
       s.earned - coalesce(c.claimed, 0) AS claimable
FROM sums s
LEFT JOIN LATERAL (SELECT sum(x.amount) AS claimed FROM chain.claims x
                   WHERE x.account = s.account AND x.sequencer = s.sequencer AND x.owner = s.self_stake) c ON TRUE;
COMMENT ON VIEW baton.position_incomes IS 'What each position earned over all time, was paid, and may claim now (wei), by the contract''s own rounding. self_stake: the owner''s, commission included.';

-- By day ------------------------------------------------------------------------------------------------------------------

CREATE VIEW baton.fees_daily AS
SELECT date_trunc('day', b.time, 'UTC') AS day, count(*) AS transactions, sum(r.gas_used) AS gas_used,
       sum(r.gas_used * r.effective_gas_price) AS fees
FROM chain.transactions t
JOIN chain.receipts r ON r.block = t.block AND r.position = t.position
JOIN chain.blocks b ON b.number = t.block
WHERE t.kind <> 126
GROUP BY 1;
COMMENT ON VIEW baton.fees_daily IS 'Users'' transactions and the fees they paid on L2, by UTC day.';

CREATE VIEW baton.l1_cost_daily AS
SELECT date_trunc('day', posted_at, 'UTC') AS day, count(*) AS batches, sum(blocks) AS blocks, sum(blobs) AS blobs,
       sum(gas_used) AS gas_used, sum(l1_fee) AS l1_fee, sum(repaid) AS repaid
FROM baton.batches GROUP BY 1;
COMMENT ON VIEW baton.l1_cost_daily IS 'What posting cost on L1 and what of it is owed back, wei, by UTC day.';

CREATE VIEW baton.events AS
SELECT e.l1_block, e.log_index, b.time, e.contract, e.event, baton.hex(e.transaction_hash) AS transaction_hash
FROM chain.l1_events e JOIN chain.l1_blocks b ON b.number = e.l1_block;
COMMENT ON VIEW baton.events IS 'Every event of Baton''s contracts on L1, in order.';

-- A role for readers, where the database's owner may create one. Grant it to whoever analyses.
DO $$
BEGIN
    BEGIN
        CREATE ROLE baton_reader NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
    END;
    BEGIN
        GRANT USAGE ON SCHEMA baton, chain TO baton_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA baton, chain TO baton_reader;
    EXCEPTION WHEN undefined_object THEN NULL;
    END;
END
$$;
