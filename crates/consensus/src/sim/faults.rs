//! Crashes, partitions, lost disks, laggards.

use super::{World, simulate, world::EPOCH};
use crate::Role;
use std::{collections::BTreeMap, time::Duration};

fn four() -> BTreeMap<u64, Vec<u8>> {
    BTreeMap::from([(0, vec![1, 2, 3, 4])])
}

fn others(world: &World, seed: u8) -> Vec<u8> {
    world.all().into_iter().filter(|s| *s != seed).collect()
}

#[test]
fn after_a_leader_crash_the_next_block_is_final_within_one_and_a_half_seconds() {
    simulate(11, |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        world.reach(&all, 5, Duration::from_secs(10)).await;
        let mut gaps = Vec::new();
        for _ in 0..6 {
            let leader = world.leader();
            let rest = others(&world, leader);
            world.kill(leader).await;
            let height = rest.iter().map(|s| world.chain(*s).height()).max().unwrap();
            // One block may have been on its way already.
            gaps.push(world.reach(&rest, height + 2, Duration::from_secs(10)).await);
            world.start(leader).await;
            let height = world.chain(rest[0]).height();
            world.reach(&all, height + 3, Duration::from_secs(10)).await;
        }
        assert!(gaps.iter().all(|gap| *gap <= Duration::from_millis(1_500)), "{gaps:?}");
        world.agree();
        world.no_evidence();
    });
}

#[test]
fn nodes_killed_at_any_moment_never_sign_a_contradiction() {
    for seed in 20..24 {
        simulate(seed, |context| async move {
            let mut world = World::new(context, four()).await;
            world.start_all().await;
            let all = world.all();
            for round in 0..12u64 {
                let victim = u8::try_from((seed + round) % 4).unwrap() + 1;
                world.sleep(Duration::from_millis(137 * (round % 5) + 11 * seed)).await;
                world.kill(victim).await;
                world.start(victim).await;
            }
            let height = all.iter().map(|s| world.chain(*s).height()).max().unwrap();
            world.reach(&all, height + 10, Duration::from_secs(30)).await;
            world.agree();
            world.no_evidence();
        });
    }
}

/// A node that the leader's last block did not reach knows it by its certificate only. When the leader dies, nothing goes on
/// without that node's vote.
#[test]
fn a_block_known_by_its_certificate_only_is_fetched_when_its_leader_dies() {
    for seed in 50..60 {
        simulate(seed, |context| async move {
            let mut world = World::new(context, four()).await;
            world.start_all().await;
            let all = world.all();
            world.reach(&all, 4, Duration::from_secs(10)).await;
            let leader = world.leader();
            let rest = others(&world, leader);
            world.disconnect(&[leader], &[rest[0]]).await;
            world.sleep(Duration::from_millis(10 * seed)).await;
            world.kill(leader).await;
            let height = rest.iter().map(|s| world.chain(*s).height()).max().unwrap();
            world.reach(&rest, height + 3, Duration::from_secs(5)).await;
            world.agree();
            world.no_evidence();
        });
    }
}

#[test]
fn a_late_joiner_catches_up_over_epochs_and_then_signs() {
    simulate(12, |context| async move {
        let mut world = World::new(context, four()).await;
        for seed in [1, 2, 3] {
            world.start(seed).await;
        }
        world.reach(&[1, 2, 3], 2 * EPOCH + 7, Duration::from_secs(120)).await;
        world.start(4).await;
        let height = world.chain(1).height();
        world.reach(&[4], height, Duration::from_secs(30)).await;
        let next = (world.chain(1).height() / EPOCH + 1) * EPOCH + 4;
        world.reach(&[1, 2, 3, 4], next, Duration::from_secs(60)).await;
        assert_eq!(world.status(4).role, Role::Signer);
        world.agree();
        world.no_evidence();
    });
}

#[test]
fn a_half_half_partition_halts_and_heals_within_ten_seconds() {
    simulate(13, |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        world.reach(&all, 6, Duration::from_secs(10)).await;
        world.disconnect(&[1, 2], &[3, 4]).await;
        world.sleep(Duration::from_secs(1)).await;
        let halted: Vec<_> = all.iter().map(|s| world.chain(*s).height()).collect();
        world.sleep(Duration::from_secs(20)).await;
        assert_eq!(halted, all.iter().map(|s| world.chain(*s).height()).collect::<Vec<_>>());
        world.connect(&[1, 2], &[3, 4]).await;
        let height = halted.iter().max().unwrap() + 3;
        world.reach(&all, height, Duration::from_secs(10)).await;
        world.agree();
        world.no_evidence();
    });
}

#[test]
fn a_minority_cut_off_finalizes_nothing_and_follows_again_after_two_epochs() {
    simulate(14, |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        world.reach(&all, 6, Duration::from_secs(10)).await;
        world.disconnect(&[4], &[1, 2, 3]).await;
        world.sleep(Duration::from_millis(500)).await;
        let alone = world.chain(4).height();
        world.reach(&[1, 2, 3], 2 * EPOCH + 5, Duration::from_secs(120)).await;
        assert_eq!(world.chain(4).height(), alone);
        world.connect(&[4], &[1, 2, 3]).await;
        let height = world.chain(1).height() + 5;
        world.reach(&all, height, Duration::from_secs(10)).await;
        world.agree();
        world.no_evidence();
    });
}

#[test]
fn a_node_that_does_not_see_l1_is_waited_for_by_nobody_and_votes_for_nothing() {
    simulate(15, |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        world.reach(&all, 4, Duration::from_secs(10)).await;
        let blind = 1 + (world.leader() % 4);
        world.chain(blind).set_sees_l1(false);
        let rest = others(&world, blind);
        let height = world.chain(rest[0]).height();
        world.reach(&rest, height + 20, Duration::from_secs(30)).await;
        world.chain(blind).set_sees_l1(true);
        let height = world.chain(rest[0]).height();
        world.reach(&all, height + 10, Duration::from_secs(10)).await;
        world.agree();
        world.no_evidence();
    });
}

#[test]
fn a_key_without_its_journal_keeps_silent_until_an_epoch_that_began_after_the_restart() {
    simulate(16, |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        world.reach(&all, 6, Duration::from_secs(10)).await;
        world.kill(3).await;
        world.lose_journals(3).await;
        world.start(3).await;
        let height = world.chain(1).height();
        world.reach(&all, height + 4, Duration::from_secs(20)).await;
        assert_eq!(world.status(3).role, Role::Silent);
        world.reach(&all, EPOCH + 4, Duration::from_secs(60)).await;
        assert_eq!(world.status(3).role, Role::Signer);
        world.no_evidence();
    });
}

/// Kills three of four nodes in the middle of a view, the leader among them, takes their journals and starts them again. The
/// fourth remembers their votes. How many contradictions it then sees.
fn contradictions_after_lost_journals(seed: u64, trust_journal: bool) -> usize {
    let story = |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        for seed in &all {
            world.chain(*seed).set_work(true);
        }
        world.reach(&all, 6, Duration::from_secs(10)).await;
        world.sleep(Duration::from_millis(3 * seed)).await;
        let witness = 1 + (world.leader() % 4);
        for victim in others(&world, witness) {
            world.kill(victim).await;
            world.lose_journals(victim).await;
        }
        for victim in others(&world, witness) {
            world.start_with(victim, trust_journal).await;
        }
        world.sleep(Duration::from_secs(5)).await;
        world.agree();
        let found = world.evidence();
        found.iter().for_each(|evidence| world.assert_signed(evidence));
        found.len()
    };
    simulate(seed, story).0
}

#[test]
fn keys_without_journals_do_not_contradict_themselves() {
    assert_eq!((30..42).map(|seed| contradictions_after_lost_journals(seed, false)).sum::<usize>(), 0);
}

#[test]
fn without_that_rule_the_same_runs_do_show_contradictions() {
    assert!((30..42).map(|seed| contradictions_after_lost_journals(seed, true)).sum::<usize>() > 0);
}

/// P1 `no_lost_final`, however much the marshal's archives and the chains had not yet written.
#[test]
fn a_whole_set_killed_at_once_resumes_from_its_journals_and_keeps_what_was_final() {
    for (seed, members) in [(17, 4), (18, 4), (19, 4), (20, 4), (21, 1), (22, 1)] {
        simulate(seed, |context| async move {
            let mut world = World::new(context, BTreeMap::from([(0, (1..=members).collect())])).await;
            world.start_all().await;
            let all = world.all();
            world.reach(&all, EPOCH - 3, Duration::from_secs(60)).await;
            for round in 0..6 {
                world.sleep(Duration::from_millis((seed * 97 + round * 331) % 700)).await;
                let finals = |seed: &u8| world.chain(*seed).finals();
                let before = all.iter().map(finals).max_by_key(Vec::len).unwrap();
                for seed in &all {
                    world.kill(*seed).await;
                }
                world.start_all().await;
                world.reach(&all, before.len() as u64 + 5, Duration::from_secs(15)).await;
                for seed in &all {
                    assert!(world.chain(*seed).finals().starts_with(&before), "node {seed} lost a final block");
                }
            }
            world.agree();
            world.no_evidence();
        });
    }
}

#[test]
fn a_drained_leader_hands_over_without_a_timeout() {
    simulate(18, |context| async move {
        let mut world = World::new(context, four()).await;
        world.start_all().await;
        let all = world.all();
        world.reach(&all, 5, Duration::from_secs(10)).await;
        let leader = world.leader();
        let rest = others(&world, leader);
        let mailbox = world.nodes[&leader].mailbox.clone().unwrap();
        let height = world.chain(rest[0]).height();
        let began = commonware_runtime::Clock::current(&world.context);
        let drained = world.nodes.get_mut(&leader).unwrap().handle.take().unwrap();
        let drained = async { drop(drained.await.unwrap().unwrap()) };
        let ((), (), gap) =
            futures::join!(mailbox.drain(), drained, world.reach(&rest, height + 2, Duration::from_secs(5)));
        assert!(gap <= Duration::from_millis(600), "handed over after {gap:?}");
        assert!(world.elapsed(began) <= Duration::from_millis(2_500));
        world.agree();
        world.no_evidence();
    });
}
