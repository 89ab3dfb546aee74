-- Bounties that stay owed for stake that had left before the offence was proven, and their payment.

CREATE TABLE chain.bounty_steps (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    step TEXT NOT NULL CHECK (step IN ('owed', 'paid')),
    receiver chain.address NOT NULL,
    sequencer BIGINT,
    epoch BIGINT,
    amount chain.uint256 NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE,
    CHECK ((step = 'owed') = (sequencer IS NOT NULL AND epoch IS NOT NULL))
);
CREATE INDEX bounty_steps_by_receiver ON chain.bounty_steps (receiver, l1_block DESC, log_index DESC);
COMMENT ON TABLE chain.bounty_steps IS 'owed: the part of a first slash''s bounty that exits and switched stake will pay; paid: what a receiver claimed of it. Token wei.';

CREATE VIEW baton.bounties AS
SELECT baton.hex(s.receiver) AS receiver,
       COALESCE(sum(s.amount) FILTER (WHERE s.step = 'owed'), 0) AS owed,
       COALESCE(sum(s.amount) FILTER (WHERE s.step = 'paid'), 0) AS paid,
       count(*) FILTER (WHERE s.step = 'owed') AS offences
FROM chain.bounty_steps s
GROUP BY s.receiver;
COMMENT ON VIEW baton.bounties IS 'Per receiver: bounties owed beyond what was paid with the proof, and what was claimed of them (token wei).';

DO $$
BEGIN
    GRANT SELECT ON ALL TABLES IN SCHEMA baton, chain TO baton_reader;
EXCEPTION WHEN undefined_object THEN NULL;
END
$$;
