-- What the complete contracts say: switches, slashes with what they spare, changes of owner, evidence, profiles, parameters.
-- As in 0001, each row hangs on its L1 event; as in 0002, states are views.

-- Staking
ALTER TABLE chain.stake_changes DROP CONSTRAINT stake_changes_kind_check;
ALTER TABLE chain.stake_changes ADD CONSTRAINT stake_changes_kind_check
    CHECK (kind IN ('bonded', 'delegated', 'exit_requested', 'slashed', 'moved'));
ALTER TABLE chain.stake_changes ALTER COLUMN amount DROP NOT NULL;
COMMENT ON COLUMN chain.stake_changes.amount IS 'Token wei; NULL for ''moved'': a switch, or a slash of the sequencer that switched stake came from (amounts in switches, switch_slashes).';

CREATE TABLE chain.spared_shares (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    snapshot BIGINT NOT NULL,
    spared chain.uint256 NOT NULL,
    bonus chain.uint256 NOT NULL,
    shares chain.uint256 NOT NULL,
    period BIGINT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX spared_shares_by_sequencer ON chain.spared_shares (sequencer, l1_block DESC, log_index DESC);
COMMENT ON TABLE chain.spared_shares IS 'Slashes beside stake that entered after the slashed snapshot: its shares grew from spared to spared + bonus, and kept their worth.';
CREATE TABLE chain.owner_proposals (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    owner chain.address NOT NULL,
    proposed chain.address NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.owner_changes (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    previous chain.address NOT NULL,
    owner chain.address NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX owner_changes_by_sequencer ON chain.owner_changes (sequencer, l1_block DESC, log_index DESC);
CREATE TABLE chain.switches (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    from_sequencer BIGINT NOT NULL,
    to_sequencer BIGINT NOT NULL,
    account chain.address NOT NULL,
    amount chain.uint256 NOT NULL,
    ready_at TIMESTAMPTZ NOT NULL,
    period BIGINT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX switches_by_account ON chain.switches (account, l1_block DESC, log_index DESC);
CREATE TABLE chain.switch_slashes (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    from_sequencer BIGINT NOT NULL,
    to_sequencer BIGINT NOT NULL,
    account chain.address NOT NULL,
    amount chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.slashed_releases (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    receiver chain.address NOT NULL,
    amount chain.uint256 NOT NULL,
    total_slashed chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.entry_rules (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    min_stake chain.uint256 NOT NULL,
    max_stake chain.uint256 NOT NULL,
    paused BOOLEAN NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);

-- SequencerPool, Slasher, Profiles, Parameters
CREATE TABLE chain.downtimes (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    from_epoch BIGINT NOT NULL,
    to_epoch BIGINT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX downtimes_by_sequencer ON chain.downtimes (sequencer, l1_block DESC, log_index DESC);
CREATE TABLE chain.offences (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    reporter chain.address NOT NULL,
    repeated BOOLEAN NOT NULL,
    slashed chain.uint256 NOT NULL,
    bounty chain.uint256 NOT NULL,
    receiver chain.address NOT NULL,
    jailed_until TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX offences_by_sequencer ON chain.offences (sequencer, epoch);
CREATE TABLE chain.absences (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    missed chain.uint256 NOT NULL,
    drawn chain.uint256 NOT NULL,
    jailed_until TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.burns (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    amount chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.profiles (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    owner chain.address NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    logo_hash chain.hash NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX profiles_by_sequencer ON chain.profiles (sequencer, l1_block DESC, log_index DESC);
CREATE TABLE chain.parameter_sets (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    parameters TEXT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
COMMENT ON TABLE chain.parameter_sets IS 'All parameters after each change, as JSON.';

-- Recovery and the emission stream
CREATE TABLE chain.generation_raises (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    last_height BIGINT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.resumptions (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    snapshot BIGINT NOT NULL,
    last_epoch BIGINT NOT NULL,
    last_height BIGINT NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.recovery_steps (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    step TEXT NOT NULL CHECK (step IN ('opened', 'member_ready', 'final_proven', 'closed')),
    generation BIGINT NOT NULL,
    snapshot BIGINT,
    sequencer BIGINT,
    height BIGINT,
    block_hash chain.hash,
    ready_stake chain.uint256,
    total_stake chain.uint256,
    window_end TIMESTAMPTZ,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
COMMENT ON TABLE chain.recovery_steps IS 'What happened in each recovery; a column is NULL where the step does not tell it.';
CREATE TABLE chain.emission_fundings (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    account chain.address NOT NULL,
    amount chain.uint256 NOT NULL,
    unreleased chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.token_incomes (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    position BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    attester chain.uint256 NOT NULL,
    commission chain.uint256 NOT NULL,
    share_index chain.uint256 NOT NULL,
    PRIMARY KEY (epoch, position),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX token_incomes_by_event ON chain.token_incomes (l1_block, log_index);
CREATE INDEX token_incomes_by_sequencer ON chain.token_incomes (sequencer, epoch);
CREATE TABLE chain.token_claims (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    account chain.address NOT NULL,
    receiver chain.address NOT NULL,
    owner BOOLEAN NOT NULL,
    amount chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE TABLE chain.duty_forfeits (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    sequencer BIGINT NOT NULL,
    poster chain.address NOT NULL,
    amount chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX duty_forfeits_by_sequencer ON chain.duty_forfeits (sequencer, epoch);
COMMENT ON TABLE chain.duty_forfeits IS 'What a member on duty lost of its income to who posted in its place, wei.';
CREATE TABLE chain.forfeit_claims (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    poster chain.address NOT NULL,
    receiver chain.address NOT NULL,
    amount chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);

-- Positions, with what slashes spared --------------------------------------------------------------------------------------

-- Staking.sol, _tail: shares of a position are numbered as they enter and leave oldest first; a slash gives each position its part
-- of the bonus for what it holds and entered after the slashed snapshot. The contract notes that when the position next changes,
-- so no event tells it: it is computed here.
CREATE FUNCTION chain.spared_positions()
RETURNS TABLE (sequencer BIGINT, self_stake BOOLEAN, account BYTEA, account_shares NUMERIC, period BIGINT, l1_block BIGINT, log_index BIGINT)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    place RECORD;
    step RECORD;
    entered NUMERIC;
    gone NUMERIC;
    old NUMERIC;
    points_from BIGINT[];
    points_entered NUMERIC[];
    i INTEGER;
BEGIN
    FOR place IN
        SELECT DISTINCT c.sequencer, c.self_stake, CASE WHEN NOT c.self_stake THEN c.account END AS account
        FROM chain.stake_changes c
        WHERE c.account IS NOT NULL AND EXISTS (SELECT 1 FROM chain.spared_shares s WHERE s.sequencer = c.sequencer)
    LOOP
        entered := 0;
        gone := 0;
        points_from := '{}';
        points_entered := '{}';
        FOR step IN
            SELECT c.l1_block, c.log_index, c.account_shares, c.period, NULL::BIGINT AS snapshot, NULL::NUMERIC AS spared, NULL::NUMERIC AS bonus
            FROM chain.stake_changes c
            WHERE c.sequencer = place.sequencer AND c.self_stake = place.self_stake AND (c.self_stake OR c.account = place.account)
            UNION ALL
            SELECT s.l1_block, s.log_index, NULL, s.period, s.snapshot, s.spared, s.bonus
            FROM chain.spared_shares s WHERE s.sequencer = place.sequencer
            ORDER BY 1, 2
        LOOP
            IF step.bonus IS NULL THEN
                IF step.account_shares > entered - gone THEN
                    entered := step.account_shares + gone;
                ELSE
                    gone := entered - step.account_shares;
                    CONTINUE;
                END IF;
            ELSE
                old := 0;
                FOR i IN REVERSE coalesce(array_length(points_from, 1), 0)..1 LOOP
                    IF points_from[i] <= step.snapshot THEN
                        old := points_entered[i];
                        EXIT;
                    END IF;
                END LOOP;
                old := greatest(old, gone);
                CONTINUE WHEN entered <= old;
                entered := entered + div((entered - old) * step.bonus, step.spared);
                sequencer := place.sequencer;
                self_stake := place.self_stake;
                account := place.account;
                account_shares := entered - gone;
                period := step.period;
                l1_block := step.l1_block;
                log_index := step.log_index;
                RETURN NEXT;
            END IF;
            points_from := points_from || step.period;
            points_entered := points_entered || entered;
        END LOOP;
    END LOOP;
END
$$;

CREATE VIEW chain.owners AS
SELECT c.sequencer, coalesce(o.owner, c.owner) AS owner
FROM chain.sequencer_creations c
LEFT JOIN LATERAL (SELECT x.owner FROM chain.owner_changes x WHERE x.sequencer = c.sequencer
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) o ON TRUE;
COMMENT ON VIEW chain.owners IS 'Who owns each sequencer, its self-stake and its income now.';

-- Self-stake belongs to the sequencer, whoever owns it: its holder is NULL.
CREATE VIEW chain.position_changes AS
SELECT sequencer, self_stake, CASE WHEN NOT self_stake THEN account END AS holder, account_shares, period, l1_block, log_index
FROM chain.stake_changes WHERE account IS NOT NULL
UNION ALL
SELECT sequencer, self_stake, account, account_shares, period, l1_block, log_index FROM chain.spared_positions();
COMMENT ON VIEW chain.position_changes IS 'Shares of each position after each change. holder: the delegator, NULL for self-stake.';

CREATE OR REPLACE VIEW baton.pots AS
SELECT c.sequencer, s.stake, h.shares
FROM chain.sequencer_creations c
LEFT JOIN LATERAL (SELECT stake FROM chain.stake_changes x WHERE x.sequencer = c.sequencer
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) s ON TRUE
LEFT JOIN LATERAL (SELECT shares FROM (
                       (SELECT shares, l1_block, log_index FROM chain.stake_changes x WHERE x.sequencer = c.sequencer AND x.shares IS NOT NULL
                        ORDER BY l1_block DESC, log_index DESC LIMIT 1)
                       UNION ALL
                       (SELECT shares, l1_block, log_index FROM chain.spared_shares x WHERE x.sequencer = c.sequencer
                        ORDER BY l1_block DESC, log_index DESC LIMIT 1)) both_kinds
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) h ON TRUE;

CREATE OR REPLACE VIEW baton.positions AS
SELECT p.sequencer, baton.hex(coalesce(p.holder, o.owner)) AS account, p.self_stake, p.account_shares::chain.uint256 AS shares,
       -- Staking.sol: shares of the pot with a million virtual shares and one virtual wei, rounded down.
       div(p.account_shares * (pot.stake + 1), pot.shares + 1000000) AS stake, p.period AS since_snapshot
FROM (SELECT DISTINCT ON (sequencer, self_stake, holder) sequencer, holder, self_stake, account_shares, period
      FROM chain.position_changes
      ORDER BY sequencer, self_stake, holder, l1_block DESC, log_index DESC) p
JOIN baton.pots pot ON pot.sequencer = p.sequencer
JOIN chain.owners o ON o.sequencer = p.sequencer;

COMMENT ON VIEW baton.stake_changes IS 'Every bond, delegation, exit request and slash, and positions moved by a switch. amount: token wei (NULL for moved); stake: the sequencer''s after it; period: first snapshot that knows it.';

CREATE OR REPLACE VIEW baton.exits AS
SELECT x.exit_id, x.sequencer, baton.hex(x.account) AS account, x.self_stake, x.amount, b.time AS requested_at, x.ready_at,
       p.amount AS paid, pb.time AS paid_at,
       CASE WHEN p.exit_id IS NOT NULL THEN 'paid' WHEN x.ready_at <= now() THEN 'ready' ELSE 'unbonding' END AS status,
       x.amount - p.amount AS slashed
FROM chain.exits x
JOIN chain.l1_blocks b ON b.number = x.l1_block
LEFT JOIN chain.exit_payments p ON p.exit_id = x.exit_id
LEFT JOIN chain.l1_blocks pb ON pb.number = p.l1_block;
COMMENT ON VIEW baton.exits IS 'Stake on its way out: unbonding, ready (anyone may finish it) or paid. amount: token wei asked for; slashes take their part when it is paid.';

CREATE OR REPLACE VIEW baton.sequencers AS
SELECT c.sequencer, baton.hex(o.owner) AS owner, baton.hex(r.operator) AS operator, baton.hex(r.identity) AS identity,
       baton.hex(r.bls_key) AS bls_key, r.endpoint,
       coalesce(p.stake, 0) AS stake, coalesce(own.stake, 0) AS self_stake, coalesce(p.stake, 0) - coalesce(own.stake, 0) AS delegated,
       coalesce(k.commission, c.commission) AS commission, c.max_commission,
       CASE WHEN m.change = 'activated' THEN 'active' WHEN m.change = 'jailed' THEN 'jailed'
            WHEN r.sequencer IS NOT NULL THEN 'registered' ELSE 'bonded' END AS status,
       m.until AS jailed_until, m.reason AS left_because, b.time AS created_at,
       coalesce(i.producer, 0) AS producer_income, coalesce(i.attester, 0) AS attester_income,
       coalesce(i.producer, 0) + coalesce(i.attester, 0) AS income,
       coalesce(f.blocks_led, 0) AS blocks_led, coalesce(f.terms_missed, 0) AS terms_missed,
       coalesce(d.misses, 0) AS duties_missed,
       n.name, n.url, baton.hex(n.logo_hash) AS logo_hash,
       coalesce(s.slashed, 0) AS slashed, a.from_epoch AS away_from, a.to_epoch AS away_to
FROM chain.sequencer_creations c
JOIN chain.owners o ON o.sequencer = c.sequencer
JOIN chain.l1_blocks b ON b.number = c.l1_block
LEFT JOIN baton.pots p ON p.sequencer = c.sequencer
LEFT JOIN LATERAL (SELECT div(x.account_shares * (p.stake + 1), p.shares + 1000000) AS stake
                   FROM chain.position_changes x WHERE x.sequencer = c.sequencer AND x.self_stake
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) own ON TRUE
LEFT JOIN LATERAL (SELECT * FROM chain.registrations x WHERE x.sequencer = c.sequencer
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) r ON TRUE
LEFT JOIN LATERAL (SELECT * FROM chain.membership_changes x WHERE x.sequencer = c.sequencer
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) m ON TRUE
-- A rise counts one period after its announcement.
LEFT JOIN LATERAL (SELECT commission FROM chain.commission_changes x WHERE x.sequencer = c.sequencer
                   AND x.period <= (SELECT coalesce(max(period), 0) FROM chain.periods)
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) k ON TRUE
LEFT JOIN LATERAL (SELECT sum(producer) AS producer, sum(attester) AS attester
                   FROM chain.incomes x WHERE x.sequencer = c.sequencer) i ON TRUE
LEFT JOIN LATERAL (SELECT sum(x.blocks_led) AS blocks_led, sum(x.terms_missed) AS terms_missed
                   FROM chain.snapshot_members y
                   JOIN chain.performances x ON x.snapshot = y.snapshot AND x.position = y.position
                   WHERE y.sequencer = c.sequencer) f ON TRUE
LEFT JOIN LATERAL (SELECT count(*) AS misses FROM chain.duty_misses x WHERE x.sequencer = c.sequencer) d ON TRUE
LEFT JOIN LATERAL (SELECT * FROM chain.profiles x WHERE x.sequencer = c.sequencer
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) n ON TRUE
LEFT JOIN LATERAL (SELECT sum(x.amount + x.unbonding_amount) AS slashed FROM chain.slashes x WHERE x.sequencer = c.sequencer) s ON TRUE
LEFT JOIN LATERAL (SELECT * FROM chain.downtimes x WHERE x.sequencer = c.sequencer
                   ORDER BY l1_block DESC, log_index DESC LIMIT 1) a ON TRUE;
COMMENT ON VIEW baton.sequencers IS 'Every sequencer as it is now. Stakes in token wei, incomes in wei over all time, blocks_led and terms_missed over closed epochs. commission: basis points. slashed: token wei of stake and exits over all time. away_from, away_to: declared downtime, epochs.';

CREATE OR REPLACE VIEW baton.position_incomes AS
WITH spans AS (
    SELECT sequencer, self_stake, holder, account_shares, period AS first_snapshot,
           lead(period) OVER (PARTITION BY sequencer, self_stake, holder ORDER BY period) AS next_snapshot
    FROM (SELECT DISTINCT ON (sequencer, self_stake, holder, period) sequencer, self_stake, holder, account_shares, period
          FROM chain.position_changes
          ORDER BY sequencer, self_stake, holder, period, l1_block DESC, log_index DESC) s
), credits AS (
    SELECT i.sequencer, i.epoch, c.snapshot, i.l1_block, i.log_index, i.commission,
           i.share_index - lag(i.share_index, 1, 0::numeric) OVER (PARTITION BY i.sequencer ORDER BY i.epoch) AS growth
    FROM chain.incomes i JOIN chain.epoch_closings c ON c.epoch = i.epoch
), parts AS (
    SELECT s.sequencer, s.self_stake, s.holder, s.first_snapshot,
           (SELECT count(*) FROM chain.claims x
            WHERE x.sequencer = s.sequencer AND x.owner = s.self_stake AND (s.self_stake OR x.account = s.holder)
              AND (x.l1_block, x.log_index) < (c.l1_block, c.log_index)) AS claim,
           div(max(s.account_shares) * sum(c.growth), 79228162514264337593543950336) AS amount,
           sum(c.commission) AS commission
    FROM spans s JOIN credits c ON c.sequencer = s.sequencer
     AND c.snapshot >= s.first_snapshot AND (s.next_snapshot IS NULL OR c.snapshot < s.next_snapshot)
    GROUP BY s.sequencer, s.self_stake, s.holder, s.first_snapshot, claim
), sums AS (
    SELECT p.sequencer, p.self_stake, p.holder,
           sum(p.amount + CASE WHEN p.self_stake THEN p.commission ELSE 0 END) AS earned
    FROM parts p GROUP BY p.sequencer, p.self_stake, p.holder
)
SELECT s.sequencer, baton.hex(coalesce(s.holder, o.owner)) AS account, s.self_stake, s.earned, coalesce(c.claimed, 0) AS claimed,
       s.earned - coalesce(c.claimed, 0) AS claimable
FROM sums s
JOIN chain.owners o ON o.sequencer = s.sequencer
LEFT JOIN LATERAL (SELECT sum(x.amount) AS claimed FROM chain.claims x
                   WHERE x.sequencer = s.sequencer AND x.owner = s.self_stake AND (s.self_stake OR x.account = s.holder)) c ON TRUE;

-- New views ----------------------------------------------------------------------------------------------------------------

CREATE VIEW baton.switches AS
SELECT s.l1_block, s.log_index, b.time, baton.hex(e.transaction_hash) AS transaction_hash, s.from_sequencer, s.to_sequencer,
       baton.hex(s.account) AS account, s.amount, s.ready_at, s.period
FROM chain.switches s
JOIN chain.l1_events e USING (l1_block, log_index)
JOIN chain.l1_blocks b ON b.number = s.l1_block;
COMMENT ON VIEW baton.switches IS 'Delegations moved to another sequencer without unbonding (token wei). Until ready_at a slash of the old one reaches them.';

CREATE VIEW baton.offences AS
SELECT o.l1_block, o.log_index, b.time, baton.hex(e.transaction_hash) AS transaction_hash, o.sequencer, o.epoch,
       baton.hex(o.reporter) AS reporter, o.repeated, o.slashed, o.bounty, baton.hex(o.receiver) AS receiver, o.jailed_until
FROM chain.offences o
JOIN chain.l1_events e USING (l1_block, log_index)
JOIN chain.l1_blocks b ON b.number = o.l1_block;
COMMENT ON VIEW baton.offences IS 'Proven contradictions: what was slashed of bonded stake at once, and the reporter''s bounty (token wei).';

CREATE VIEW baton.absences AS
SELECT a.l1_block, a.log_index, b.time, a.sequencer, a.epoch, a.missed, a.drawn, a.jailed_until
FROM chain.absences a JOIN chain.l1_blocks b ON b.number = a.l1_block;
COMMENT ON VIEW baton.absences IS 'Sequencers jailed because they missed too many of the terms they were drawn for.';

CREATE VIEW baton.recoveries AS
SELECT s.l1_block, s.log_index, b.time, s.step, s.generation, s.snapshot, s.sequencer, s.height,
       baton.hex(s.block_hash) AS block_hash, s.ready_stake, s.total_stake, s.window_end
FROM chain.recovery_steps s JOIN chain.l1_blocks b ON b.number = s.l1_block;
COMMENT ON VIEW baton.recoveries IS 'How a chain that stood still went on: opened, members ready (token wei of stake), final blocks proven, closed.';

CREATE VIEW baton.token_incomes AS
SELECT i.epoch, i.position, i.sequencer, i.attester AS income, i.commission, b.time AS credited_at
FROM chain.token_incomes i JOIN chain.l1_blocks b ON b.number = i.l1_block;
COMMENT ON VIEW baton.token_incomes IS 'Stake tokens (wei) that each sequencer got from the emission stream in each closed epoch, commission included.';

CREATE VIEW baton.forfeits AS
SELECT f.epoch, f.sequencer, baton.hex(f.poster) AS poster, f.amount, b.time
FROM chain.duty_forfeits f JOIN chain.l1_blocks b ON b.number = f.l1_block;
COMMENT ON VIEW baton.forfeits IS 'Income (wei) of members on posting duty that went to who posted in their place.';

CREATE VIEW baton.parameters AS
SELECT p.l1_block, b.time, p.parameters::JSONB AS parameters
FROM chain.parameter_sets p JOIN chain.l1_blocks b ON b.number = p.l1_block
ORDER BY p.l1_block DESC, p.log_index DESC;
COMMENT ON VIEW baton.parameters IS 'All chain parameters after each change, the newest first.';

DO $$
BEGIN
    GRANT SELECT ON ALL TABLES IN SCHEMA baton, chain TO baton_reader;
EXCEPTION WHEN undefined_object THEN NULL;
END
$$;
