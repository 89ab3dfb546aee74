use super::*;
use proptest::prelude::*;
use std::{fs, path::PathBuf};

const TOKEN: u128 = 10u128.pow(18);

fn earner(stake: u128, shares: u128, commission_bps: u16, blocks_led: u32, signed: u64) -> Earner {
    Earner { stake: stake * TOKEN, shares, commission_bps, blocks_led, signed, ..Earner::default() }
}

fn arbitrary() -> impl Strategy<Value = Earner> {
    let stake = 1u128..=200_000 * TOKEN;
    (stake, 0u16..=10_000, 0u32..20_000, 0u64..=60, 1u128..=3).prop_map(
        |(stake, commission_bps, led, signed, scale)| Earner {
            stake,
            shares: stake * scale,
            commission_bps,
            blocks_led: led,
            signed,
            ..Earner::default()
        },
    )
}

proptest! {
    /// P6: every wei of fees is paid, credited or carried; and what is credited can be claimed to less than a wei each.
    #[test]
    fn conservation(
        epochs in prop::collection::vec(
            (0u128..10u128.pow(22), prop::collection::vec(0u128..10u128.pow(20), 0..4), prop::collection::vec(arbitrary(), 1..64)),
            1..6,
        ),
        treasury_bps in 0u16..=1_000, producers_bps in 0u16..=10_000,
    ) {
        let (mut books, mut debts) = (Books::default(), Vec::new());
        let shares = Shares { treasury_bps, producers_bps };
        for (fees, owed, members) in epochs {
            for amount in owed {
                debts.push(books.add_debt(amount).unwrap());
            }
            books.receive(fees).unwrap();
            let closed = books.close(&shares, 60, &members).unwrap();
            prop_assert!(books.is_conserved());
            prop_assert_eq!(closed.carry, books.carry);
            for (member, credit) in members.iter().zip(&closed.credits) {
                let shared = income(member.shares, U256::ZERO, credit.index_step);
                let credited = credit.producer + credit.attester - credit.commission;
                prop_assert!(shared <= credited && credited <= shared + 1, "credited but not claimable, or the reverse");
                // Two delegations that hold all shares get it all but for a wei.
                let (a, b) = (member.shares / 3, member.shares - member.shares / 3);
                let parts = income(a, U256::ZERO, credit.index_step) + income(b, U256::ZERO, credit.index_step);
                prop_assert!(parts <= shared && parts + 1 >= shared);
            }
            let covered: u128 = debts.iter().map(|d| d.covered(&books)).sum();
            prop_assert_eq!(covered, books.debts_paid);
            let open = debts.iter().position(|d| d.covered(&books) < d.end - d.start);
            prop_assert!(open.is_none_or(|i| debts[i + 1..].iter().all(|d| d.covered(&books) == 0)), "first in, first out");
        }
    }

    /// Nobody gains by leaving another's signature out, and nobody loses from two thirds of the batches on.
    #[test]
    fn absence_is_carried_not_shared(
        mut members in prop::collection::vec(arbitrary(), 2..20), fees in 1u128..10u128.pow(22), fewer in 0u64..60,
    ) {
        let shares = Shares { treasury_bps: 0, producers_bps: 4_000 };
        let close = |members: &[Earner]| {
            let mut books = Books::default();
            books.receive(fees).unwrap();
            books.close(&shares, 60, members).unwrap()
        };
        members[0].signed = 60;
        let full = close(&members);
        members[0].signed = fewer;
        let absent = close(&members);
        prop_assert_eq!(&absent.credits[1..], &full.credits[1..]);
        prop_assert!(absent.credits[0].attester <= full.credits[0].attester);
        if fewer >= 40 {
            prop_assert_eq!(absent, full);
        }
    }
}

#[test]
fn debts_are_covered_first_in_first_out_before_anyone_earns() {
    let mut books = Books::default();
    let mut first = books.add_debt(70).unwrap();
    let second = books.add_debt(50).unwrap();
    books.receive(100).unwrap();
    let shares = Shares { treasury_bps: 1_000, producers_bps: 4_000 };
    let closed = books.close(&shares, 1, &[earner(1, TOKEN, 0, 1, 1)]).unwrap();
    assert_eq!((closed.debts_paid, closed.treasury, closed.producers, closed.carry), (100, 0, 0, 0));
    assert_eq!((first.covered(&books), second.covered(&books)), (70, 30));
    first.claimed = 70;
    assert_eq!(first.covered(&books), 0);
}

#[test]
fn an_epoch_is_split_by_blocks_stake_and_participation() {
    let mut books = Books::default();
    books.receive(1_000_000).unwrap();
    let members =
        [earner(20_000, TOKEN, 1_000, 3, 10), earner(60_000, TOKEN, 0, 1, 5), earner(20_000, TOKEN, 500, 0, 0)];
    let closed = books.close(&Shares { treasury_bps: 1_000, producers_bps: 4_000 }, 10, &members).unwrap();
    // 900,000 after the treasury: 360,000 for 4 blocks, 540,000 by stake; the second signed half, so 3/4 of its part.
    let parts: Vec<_> = closed.credits.iter().map(|c| (c.producer, c.attester, c.commission)).collect();
    assert_eq!(closed.treasury, 100_000);
    assert_eq!(parts, [(270_000, 108_000, 37_800), (90_000, 243_000, 0), (0, 0, 0)]);
    assert_eq!(closed.carry, 540_000 - 108_000 - 243_000);
}

#[test]
fn without_stake_or_shares_nothing_is_divided_and_nothing_lost() {
    let mut books = Books::default();
    books.receive(5).unwrap();
    let before = books;
    let shares = Shares { treasury_bps: 0, producers_bps: 4_000 };
    assert_eq!(books.close(&shares, 1, &[]), Err(RevenueError::NoStake));
    assert_eq!(books.close(&shares, 1, &[earner(1, 0, 0, 1, 1)]), Err(RevenueError::NoShares(0)));
    assert_eq!(books, before);
}

/// The one member of [`limits`]: it led every block, and its shares make the index step 2^104 - 1 for 2^104 - 1 wei.
fn sole(commission_bps: u16) -> Earner {
    earner(1, 1 << 96, commission_bps, 1, 1)
}

const ALL_TO_PRODUCERS: Shares = Shares { treasury_bps: 0, producers_bps: 10_000 };
/// Most wei that the index of [`sole`] holds.
const INDEX_HOLDS: u128 = (1 << 104) - 1;
/// Most wei of commission that an account holds.
const COMMISSION_HOLDS: u128 = (1 << 96) - 1;

/// Fees of one epoch after the other that bring an account of the contract up to its limit; the last epoch would bring it over. With
/// the commission of the member, basis points, and what overflows.
fn limits() -> [(u16, &'static [u128], &'static str); 4] {
    [
        (0, &[INDEX_HOLDS + 1], "index"),
        (0, &[INDEX_HOLDS, 1], "index"),
        (10_000, &[COMMISSION_HOLDS + 1], "commission"),
        (10_000, &[COMMISSION_HOLDS, 1], "commission"),
    ]
}

#[test]
fn an_account_is_credited_up_to_what_the_contract_can_store_and_not_a_wei_more() {
    for (commission_bps, fees, what) in limits() {
        let (mut books, mut member) = (Books::default(), sole(commission_bps));
        let (last, accepted) = fees.split_last().unwrap();
        for fees in accepted {
            books.receive(*fees).unwrap();
            let closed = books.close(&ALL_TO_PRODUCERS, 1, &[member]).unwrap();
            member.index += closed.credits[0].index_step;
            member.owed += closed.credits[0].commission;
        }
        books.receive(*last).unwrap();
        let before = books;
        assert_eq!(books.close(&ALL_TO_PRODUCERS, 1, &[member]), Err(RevenueError::Overflow(what)), "{fees:?}");
        assert_eq!(books, before);
        let full = if what == "index" { member.index } else { U256::from(member.owed) };
        let most = if what == "index" { INDEX_HOLDS } else { COMMISSION_HOLDS };
        assert!(accepted.is_empty() || full == U256::from(most), "{fees:?}");
    }
}

/// Writes the vectors when `BATON_BLESS` is set, and holds this crate to the committed ones otherwise.
#[test]
fn the_shared_vectors_hold() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/revenue.json");
    let many: Vec<_> = (0..48u32)
        .map(|i| {
            let signed = 60 - u64::from(i % 7) * 7;
            earner(
                20_000 + 1_667 * u128::from(i),
                (20_001 + u128::from(i)) * TOKEN + 13,
                100 * u16::try_from(i % 20).unwrap(),
                i * 3,
                signed,
            )
        })
        .collect();
    type Run<'a> = (Shares, u128, &'a [u128], u64, Vec<Earner>);
    let runs: [Run<'_>; 6] = [
        (
            Shares { treasury_bps: 0, producers_bps: 4_000 },
            10u128.pow(18),
            &[],
            10,
            vec![earner(20_000, 20_000 * TOKEN, 1_000, 240, 10); 4],
        ),
        (
            Shares { treasury_bps: 1_000, producers_bps: 4_000 },
            987_654_321_987_654_321,
            &[1_234, 5_678],
            60,
            many.clone(),
        ),
        (Shares { treasury_bps: 1_000, producers_bps: 4_000 }, 100, &[70, 70], 1, vec![earner(1, TOKEN, 0, 1, 1)]),
        (
            Shares { treasury_bps: 250, producers_bps: 10_000 },
            7,
            &[],
            3,
            vec![earner(1, 3 * TOKEN, 9_999, 0, 3), earner(2, TOKEN, 0, 0, 1)],
        ),
        (Shares { treasury_bps: 0, producers_bps: 0 }, 10u128.pow(24), &[], 3, many),
        (Shares { treasury_bps: 500, producers_bps: 4_000 }, 0, &[5], 1, vec![earner(3, 7 * TOKEN, 300, 2, 1)]),
    ];
    let text = |n: u128| n.to_string();
    let mut cases = Vec::new();
    for (shares, fees, debts, batches, members) in runs {
        let mut books = Books::default();
        for amount in debts {
            books.add_debt(*amount).unwrap();
        }
        books.receive(fees).unwrap();
        let closed = books.close(&shares, batches, &members).unwrap();
        let column = |f: &dyn Fn(&Earner) -> String| members.iter().map(f).collect::<Vec<_>>();
        let result = |f: &dyn Fn(&Credit) -> String| closed.credits.iter().map(f).collect::<Vec<_>>();
        cases.push(serde_json::json!({
            "treasuryBps": shares.treasury_bps, "producersBps": shares.producers_bps,
            "fees": text(fees), "debts": debts.iter().map(|d| text(*d)).collect::<Vec<_>>(), "batches": batches,
            "stakes": column(&|m| text(m.stake)), "shares": column(&|m| text(m.shares)),
            "commissions": column(&|m| m.commission_bps.to_string()), "blocksLed": column(&|m| m.blocks_led.to_string()),
            "signed": column(&|m| m.signed.to_string()),
            "debtsPaid": text(closed.debts_paid), "treasury": text(closed.treasury), "producers": text(closed.producers),
            "attesters": text(closed.attesters), "carry": text(closed.carry),
            "producer": result(&|c| text(c.producer)), "attester": result(&|c| text(c.attester)),
            "commission": result(&|c| text(c.commission)), "index": result(&|c| c.index_step.to_string()),
        }));
    }
    let limits = limits().map(|(commission, fees, what)| {
        let member = sole(commission);
        let bits = if what == "index" { INDEX_LIMIT_BITS } else { COMMISSION_LIMIT_BITS };
        serde_json::json!({
            "producersBps": ALL_TO_PRODUCERS.producers_bps, "stakes": [text(member.stake)], "shares": [text(member.shares)],
            "commissions": [commission.to_string()], "blocksLed": [member.blocks_led.to_string()],
            "signed": [member.signed.to_string()], "batches": 1, "fees": fees.iter().map(|f| text(*f)).collect::<Vec<_>>(),
            "bits": bits,
        })
    });
    let vectors = serde_json::json!({
        "count": cases.len(), "cases": cases, "limitCount": limits.len(), "limits": limits,
    });
    let text = serde_json::to_string_pretty(&vectors).unwrap() + "\n";
    if std::env::var_os("BATON_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}
