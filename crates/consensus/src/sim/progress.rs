//! The chain grows, epochs follow each other, sets change.

use super::{World, simulate, world::EPOCH};
use crate::Role;
use baton_primitives::Height;
use std::{collections::BTreeMap, time::Duration};

fn four() -> BTreeMap<u64, Vec<u8>> {
    BTreeMap::from([(0, vec![1, 2, 3, 4])])
}

#[test]
fn four_nodes_agree_over_three_epochs_and_leaders_follow_the_schedule() {
    simulate(1, |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        world.reach(&all, 3 * EPOCH + 2, Duration::from_secs(60)).await;
        world.agree();
        world.leaders_follow_the_schedule(1);
        world.no_evidence();
        assert!(all.iter().all(|seed| world.status(*seed).role == Role::Signer));
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let story = |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        world.reach(&all, 30, Duration::from_secs(60)).await;
        world.chain(1).finals().last().unwrap().hash()
    };
    assert_eq!(simulate(7, story), simulate(7, story));
    assert_ne!(simulate(7, story).1, simulate(8, story).1);
}

#[test]
fn a_set_of_one_makes_its_chain_alone() {
    simulate(2, |context| async move {
        let mut world = World::new(context, BTreeMap::from([(0, vec![1])])).await;
        world.start_all().await;
        world.reach(&[1], 2 * EPOCH + 2, Duration::from_secs(60)).await;
        world.leaders_follow_the_schedule(1);
    });
}

#[test]
fn blocks_follow_work_at_the_block_time_and_idleness_at_the_heartbeat() {
    simulate(3, |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        world.reach(&all, 3, Duration::from_secs(10)).await;
        // Block times of the chain itself, in ms per block.
        let pace = |world: &World, from: u64, until: u64| {
            let finals = world.chain(1).finals();
            let time = |height: u64| finals[usize::try_from(height).unwrap()].time_millis();
            (time(until) - time(from)) / (until - from)
        };
        let from = world.chain(1).height();
        world.reach(&all, from + 12, Duration::from_secs(10)).await;
        let idle = pace(&world, from, from + 12);
        for seed in &all {
            world.chain(*seed).set_work(true);
        }
        let from = world.chain(1).height() + 1;
        world.reach(&all, from + 40, Duration::from_secs(10)).await;
        let busy = pace(&world, from, from + 40);
        assert!((150..=185).contains(&idle), "idle {idle} ms");
        assert!((50..=75).contains(&busy), "busy {busy} ms");
    });
}

#[test]
fn an_epoch_change_delays_the_next_block_by_a_finalization_at_most() {
    simulate(4, |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        for seed in &all {
            world.chain(*seed).set_work(true);
        }
        world.reach(&all, 4 * EPOCH, Duration::from_secs(60)).await;
        let finals = world.chain(1).finals();
        for epoch in 1..4 {
            let first = usize::try_from(epoch * EPOCH).unwrap();
            let gap = finals[first].time_millis() - finals[first - 1].time_millis();
            assert!(gap <= 200, "epoch {epoch} began {gap} ms after the last block before it");
        }
        world.agree();
    });
}

#[test]
fn a_member_that_joins_the_set_signs_and_one_that_leaves_stops() {
    simulate(5, |context| async move {
        let plan = BTreeMap::from([(0, vec![1, 2, 3, 4]), (2, vec![2, 3, 4, 5])]);
        let mut world = World::new(context, plan).await;
        world.start_all().await;
        world.reach(&[1, 2, 3, 4], EPOCH + 4, Duration::from_secs(60)).await;
        assert_eq!(world.status(5).role, Role::Observer);
        world.reach(&[2, 3, 4, 5], 3 * EPOCH + 12, Duration::from_secs(60)).await;
        assert_eq!(world.status(5).role, Role::Signer);
        assert_eq!(world.status(1).role, Role::Observer);
        world.agree();
        world.leaders_follow_the_schedule(5);
        let leads = |seed: u8| {
            let led = |b: &&std::sync::Arc<baton_primitives::RecoveredBlock>| {
                b.height() >= Height::new(2 * EPOCH)
                    && b.header().beneficiary == alloy::primitives::Address::repeat_byte(seed)
            };
            world.chain(2).finals().iter().filter(led).count()
        };
        assert_eq!(leads(1), 0);
        world.no_evidence();
    });
}

#[test]
fn a_finalization_certificate_convinces_a_follower_and_a_wrong_one_does_not() {
    use crate::{CertificateError, CertificateVerifier};
    simulate(6, |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        world.reach(&all, EPOCH + 6, Duration::from_secs(60)).await;
        let mailbox = world.nodes[&2].mailbox.clone().unwrap();
        let (height, certificate) = mailbox.certificate(Height::new(3)).await.expect("a certificate");
        let domain = world.domain();
        let set = std::sync::Arc::new(super::chain::planned(&four(), 0));
        let verifier = CertificateVerifier::new(&domain, baton_primitives::Epoch::ZERO, set.clone()).unwrap();
        let finality = verifier.verify(&certificate).unwrap();
        let index = usize::try_from(height.get()).unwrap();
        assert_eq!(finality.hash, world.chain(1).finals()[index].hash());
        assert!(set.is_quorum(finality.signers));

        let mut forged = certificate.to_vec();
        let last = forged.len() - 60;
        forged[last] ^= 1;
        assert!(verifier.verify(&forged).is_err());
        let other = CertificateVerifier::new(&domain, baton_primitives::Epoch::new(1), set).unwrap();
        assert!(matches!(other.verify(&certificate), Err(CertificateError::Epoch { .. })));
    });
}
