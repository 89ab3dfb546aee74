//! Events of the Portal and the RevenueShare: what goes in, what comes out, who earns what.

use super::*;

pub(super) fn portal(key: Key, event: Portal::PortalEvents, rows: &mut Rows) -> Result<&'static str, IndexerError> {
    use Portal::PortalEvents as E;
    let (block, index) = (key.block()?, key.index()?);
    Ok(match event {
        E::Deposited(e) => {
            let deposit = Deposit {
                index: e.index,
                l1_hash: key.hash,
                from: e.from,
                to: (!e.creation).then_some(e.to),
                mint: u128::try_from(e.mint)
                    .map_err(|_| IndexerError::Range { what: "mint of deposit", value: e.index })?,
                value: e.value,
                gas: e.gas,
                data: e.data.clone(),
            };
            let row = [
                block,
                index,
                Cell::int(e.index)?,
                e.from.into(),
                deposit.to.into(),
                e.mint.into(),
                e.value.into(),
                Cell::int(e.gas)?,
                (&e.data).into(),
                deposit.transaction().tx_hash().into(),
                e.fee.into(),
            ];
            rows.push(&DEPOSITS, row);
            "Deposited"
        }
        E::RootSet(e) => {
            let (root, batch, open) = (Cell::int(e.rootId)?, Cell::int(e.batch)?, Cell::int(e.openBlock)?);
            rows.push(&MESSAGE_ROOTS, [block, index, root, batch, e.root.into(), open]);
            "RootSet"
        }
        E::Withdrawn(e) => {
            let (sender, target) = (e.sender.into(), e.target.into());
            let row = [block, index, e.id.into(), sender, target, e.nonce.into(), e.value.into(), e.success.into()];
            rows.push(&WITHDRAWALS, row);
            "Withdrawn"
        }
        E::FeesPaid(e) => {
            rows.push(&PORTAL_PAYMENTS, [block, index, "fees_paid".into(), e.fees.into()]);
            "FeesPaid"
        }
        E::ProceedsPaid(e) => {
            rows.push(&PORTAL_PAYMENTS, [block, index, "proceeds_paid".into(), e.amount.into()]);
            "ProceedsPaid"
        }
        E::Funded(e) => {
            rows.push(&PORTAL_PAYMENTS, [block, index, "funded".into(), e.value.into()]);
            "Funded"
        }
    })
}

pub(super) fn revenue(
    key: Key,
    event: RevenueShare::RevenueShareEvents,
    rows: &mut Rows,
) -> Result<&'static str, IndexerError> {
    use RevenueShare::RevenueShareEvents as E;
    let (block, index) = (key.block()?, key.index()?);
    Ok(match event {
        E::DebtAdded(e) => {
            let (debt, batch) = (Cell::int(e.debtId)?, Cell::int(e.batch)?);
            rows.push(&DEBTS, [block, index, debt, batch, e.poster.into(), e.amount.into(), e.totalDebts.into()]);
            "DebtAdded"
        }
        E::EpochClosed(e) => {
            let amounts: [U256; 6] = [e.fees, e.debtsPaid, e.treasury, e.producers, e.attesters, e.carry];
            let [fees, debts, treasury, producers, attesters, carry] = amounts.map(Cell::from);
            let (epoch, snapshot) = (Cell::int(e.epoch)?, Cell::int(e.snapshot)?);
            let row = [block, index, epoch, snapshot, fees, debts, treasury, producers, attesters, carry];
            rows.push(&EPOCH_CLOSINGS, row);
            "EpochClosed"
        }
        E::Credited(e) => {
            let members = e.sequencers.iter().zip(&e.producer).zip(&e.attester).zip(&e.commission).zip(&e.index);
            for (position, ((((sequencer, producer), attester), commission), share_index)) in (0..).zip(members) {
                let row = [
                    block.clone(),
                    index.clone(),
                    Cell::int(e.epoch)?,
                    Cell::Int(position),
                    Cell::int(*sequencer)?,
                    (*producer).into(),
                    (*attester).into(),
                    (*commission).into(),
                    (*share_index).into(),
                ];
                rows.push(&INCOMES, row);
            }
            "Credited"
        }
        E::EmissionsFunded(e) => {
            rows.push(&EMISSION_FUNDINGS, [block, index, e.from.into(), e.amount.into(), e.left.into()]);
            "EmissionsFunded"
        }
        E::TokensCredited(e) => {
            let members = e.sequencers.iter().zip(&e.attester).zip(&e.commission).zip(&e.index);
            for (position, (((sequencer, attester), commission), share_index)) in (0..).zip(members) {
                let row = [
                    block.clone(),
                    index.clone(),
                    Cell::int(e.epoch)?,
                    Cell::Int(position),
                    Cell::int(*sequencer)?,
                    (*attester).into(),
                    (*commission).into(),
                    (*share_index).into(),
                ];
                rows.push(&TOKEN_INCOMES, row);
            }
            "TokensCredited"
        }
        E::TokensClaimed(e) => {
            let (account, receiver) = (e.account.into(), e.receiver.into());
            let row = [block, index, Cell::int(e.sequencer)?, account, receiver, e.owner.into(), e.amount.into()];
            rows.push(&TOKEN_CLAIMS, row);
            "TokensClaimed"
        }
        E::DutyForfeited(e) => {
            let (epoch, id) = (Cell::int(e.epoch)?, Cell::int(e.sequencer)?);
            rows.push(&DUTY_FORFEITS, [block, index, epoch, id, e.poster.into(), e.amount.into()]);
            "DutyForfeited"
        }
        E::ForfeitsClaimed(e) => {
            rows.push(&FORFEIT_CLAIMS, [block, index, e.poster.into(), e.receiver.into(), e.amount.into()]);
            "ForfeitsClaimed"
        }
        E::Claimed(e) => {
            let (account, receiver) = (e.account.into(), e.receiver.into());
            let row = [block, index, Cell::int(e.sequencer)?, account, receiver, e.owner.into(), e.amount.into()];
            rows.push(&CLAIMS, row);
            "Claimed"
        }
        E::DebtClaimed(e) => {
            let row = [block, index, Cell::int(e.debtId)?, e.poster.into(), e.amount.into(), e.full.into()];
            rows.push(&DEBT_CLAIMS, row);
            "DebtClaimed"
        }
        E::TreasuryClaimed(e) => {
            rows.push(&TREASURY_CLAIMS, [block, index, e.treasury.into(), e.amount.into()]);
            "TreasuryClaimed"
        }
    })
}
