-- Registrations as they are announced, before their keys are seen.

CREATE TABLE chain.commitments (
    l1_block BIGINT NOT NULL, log_index BIGINT NOT NULL,
    account chain.address NOT NULL,
    commitment chain.hash NOT NULL,
    PRIMARY KEY (l1_block, log_index),
    FOREIGN KEY (l1_block, log_index) REFERENCES chain.l1_events ON DELETE CASCADE
);
CREATE INDEX commitments_by_account ON chain.commitments (account, l1_block DESC, log_index DESC);
COMMENT ON TABLE chain.commitments IS 'Hash of the call that the account will register keys with, 5 to 7,200 L1 blocks later.';

DO $$
BEGIN
    GRANT SELECT ON ALL TABLES IN SCHEMA baton, chain TO baton_reader;
EXCEPTION WHEN undefined_object THEN NULL;
END
$$;
