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
