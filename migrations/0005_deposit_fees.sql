-- What deposits pay for their gas, and how it reaches the RevenueShare.

ALTER TABLE chain.deposits ADD COLUMN fee chain.uint256 NOT NULL DEFAULT 0;
ALTER TABLE chain.deposits ALTER COLUMN fee DROP DEFAULT;
COMMENT ON COLUMN chain.deposits.fee IS 'Wei paid on L1 for the gas, beside mint.';

ALTER TABLE chain.portal_payments DROP CONSTRAINT portal_payments_kind_check;
ALTER TABLE chain.portal_payments ADD CONSTRAINT portal_payments_kind_check CHECK (kind IN ('fees_paid', 'funded', 'proceeds_paid'));
COMMENT ON COLUMN chain.portal_payments.kind IS 'fees_paid: an epoch''s fees to the RevenueShare; proceeds_paid: what deposits paid for gas, likewise; funded: backs the genesis.';

CREATE OR REPLACE VIEW baton.deposits AS
SELECT d.deposit, baton.hex(d.sender) AS sender, baton.hex(d.recipient) AS recipient, d.mint, d.value, d.gas,
       baton.hex(d.data) AS data, d.l1_block, b.time AS deposited_at, baton.hex(e.transaction_hash) AS l1_transaction,
       baton.hex(d.l2_transaction) AS l2_transaction, t.block AS l2_block, r.status AS l2_status, d.fee
FROM chain.deposits d
JOIN chain.l1_events e USING (l1_block, log_index)
JOIN chain.l1_blocks b ON b.number = d.l1_block
LEFT JOIN chain.transactions t ON t.hash = d.l2_transaction
LEFT JOIN chain.receipts r ON r.block = t.block AND r.position = t.position;
COMMENT ON VIEW baton.deposits IS 'Deposits and forced transactions, and the L2 block that executed them (NULL: not yet). fee: wei paid on L1 for the gas.';

CREATE VIEW baton.deposit_proceeds AS
SELECT p.amount, p.l1_block, b.time, baton.hex(v.transaction_hash) AS l1_transaction,
       (SELECT min(c.epoch) FROM chain.epoch_closings c
        WHERE (c.l1_block, c.log_index) > (p.l1_block, p.log_index)) AS epoch
FROM chain.portal_payments p
JOIN chain.l1_events v USING (l1_block, log_index)
JOIN chain.l1_blocks b ON b.number = p.l1_block
WHERE p.kind = 'proceeds_paid';
COMMENT ON VIEW baton.deposit_proceeds IS 'What deposits paid for gas, as it reached the RevenueShare (wei), and the epoch that shared it beside its fees (NULL: the next to close).';

DO $$
BEGIN
    GRANT SELECT ON ALL TABLES IN SCHEMA baton, chain TO baton_reader;
EXCEPTION WHEN undefined_object THEN NULL;
END
$$;
