//! The benchmark runs and its figures are plausible. How fast it is, is not judged here.

use baton_testkit::{World, world::json};
use eyre::{Result, ensure};

#[tokio::test(flavor = "multi_thread")]
async fn the_benchmark_reports_anvil_and_one_node_side_by_side() -> Result<()> {
    let arguments = [
        "bench",
        "--transfers",
        "400",
        "--paced-transfers",
        "50",
        "--rate",
        "50",
        "--rounds",
        "1",
        "--batch",
        "20",
        "--targets",
        "anvil,one",
        "--json",
    ];
    let rows = json(&World::baton(&arguments).await?)?;
    let rows = rows.as_array().cloned().unwrap_or_default();
    ensure!(rows.len() == 6, "expected three loads for two targets: {rows:?}");
    for row in &rows {
        ensure!(row["missing"] == 0 && row["refused"] == 0, "transfers were lost: {row}");
        ensure!(row["included_per_second"].as_f64() > Some(1.0), "implausible: {row}");
        ensure!(row["p50_ms"].as_f64() <= row["p99_ms"].as_f64(), "implausible: {row}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_long_loads_report_reads_minutes_and_a_restart() -> Result<()> {
    let arguments = [
        "bench",
        "--transfers",
        "400",
        "--rounds",
        "1",
        "--targets",
        "one",
        "--loads",
        "erc20,open-loop,reads,soak,restart",
        "--rate-share",
        "0.1",
        "--soak-share",
        "0.1",
        "--seconds",
        "2",
        "--reads",
        "50",
        "--minutes",
        "2",
        "--minute-seconds",
        "2",
        "--json",
    ];
    let rows = json(&World::baton(&arguments).await?)?;
    let row =
        |load: &str| rows.as_array().into_iter().flatten().find(|row| row["load"] == load).cloned().unwrap_or_default();
    for load in ["ERC-20", "open-loop", "open-loop + reads"] {
        let row = row(load);
        ensure!(row["missing"] == 0 && row["refused"] == 0, "transfers were lost: {row}");
        ensure!(row["included_per_second"].as_f64() > Some(1.0), "implausible: {row}");
    }
    let reads = &row("open-loop + reads")["reads"][0];
    ensure!(reads["errors"] == 0 && reads["per_second"].as_f64() > Some(25.0), "reads failed: {reads}");
    let soak = row("soak")["soak"].as_array().cloned().unwrap_or_default();
    ensure!(soak.len() == 2 && soak.iter().all(|minute| minute["missing"] == 0), "a soak lost transfers: {soak:?}");
    ensure!(row("restart")["restart"][0].as_f64() > Some(0.0), "no restart: {rows}");
    Ok(())
}
