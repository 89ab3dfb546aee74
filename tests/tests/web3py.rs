//! web3.py's own provider suite, case by case: each ends as the committed list says.
#![allow(clippy::print_stdout, reason = "the figures of a scenario")]

use baton_bindings::ChainParameters;
use baton_testkit::{World, WorldPlan, world::fast_parameters};
use eyre::{Result, ensure};
use std::{process::Stdio, time::Duration};

/// Longest time of the whole suite; a case has a minute.
const PATIENCE: Duration = Duration::from_secs(400);
/// So slow that a transaction mostly still waits when a case asks for it: else the cases that replace one would replace nothing.
const BLOCK_TIME_MS: u64 = 250;

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_web3py_ends_as_listed() -> Result<()> {
    // And no limit on what L1 has not got yet: where the machine is busy, the cases would wait for the poster.
    let parameters = ChainParameters {
        epoch_blocks: 60,
        term_views: 5,
        block_time_ms: BLOCK_TIME_MS,
        idle_block_time_ms: BLOCK_TIME_MS,
        leader_timeout_ms: 4 * BLOCK_TIME_MS,
        unposted_limit: 1_800,
        stall_time: 3_600,
        certificate_life: 6_000,
        unbonding: 7_200,
        ..fast_parameters()
    };
    // The suite reads states of blocks that may be old when it comes to them.
    let extra = vec!["--history.blocks".to_owned(), "all".to_owned()];
    let world = World::start(WorldPlan { sequencers: 1, users: 1, parameters, extra, ..WorldPlan::default() }).await?;
    let mut suite = tokio::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/web3py.sh"));
    suite.arg(world.nodes()[0].plan.http().to_string()).arg(world.key_file(&world.users[0])?);
    let output = tokio::time::timeout(PATIENCE, suite.stdin(Stdio::null()).kill_on_drop(true).output()).await??;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let summary = told.lines().skip_while(|line| !line.starts_with("web3.py: ")).take(2);
    println!("{}", summary.collect::<Vec<_>>().join("; "));
    world.end().await;
    Ok(())
}
