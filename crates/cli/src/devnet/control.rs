//! `baton devnet --detach`, `status` and `stop`: talking to a devnet that runs elsewhere.

use super::{ControlFlags, DevnetFlags, report::Description};
use crate::{output, process};
use eyre::{Result, WrapErr, bail, ensure, eyre};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

/// Longest start that `--detach` waits for, the first compilation of nothing included.
const START_WITHIN: Duration = Duration::from_secs(120);
const STOP_WITHIN: Duration = Duration::from_secs(40);

/// The mark of a running devnet: a locked file beside its description.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    // Unlocked by the system when the process ends, however it ends.
    _file: File,
}

impl Lock {
    /// Where the lock of a description file lies.
    pub(super) fn path_for(description: &Path) -> PathBuf {
        description.with_extension("lock")
    }

    pub(super) fn take(description: &Path) -> Result<Self> {
        let path = Self::path_for(description);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "a devnet described by {} is running: stop it with `baton devnet stop`, or choose another --file",
                description.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).wrap_err_with(|| format!("cannot lock {}", path.display())),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the supervisor of a description still runs.
fn runs(description: &Description) -> bool {
    match File::open(&description.lock) {
        Ok(file) => matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

/// Starts the supervisor in the background and waits until its devnet is up.
pub(super) async fn detach(flags: &DevnetFlags) -> Result<()> {
    drop(Lock::take(&flags.file)?);
    let _ = fs::remove_file(&flags.file);
    let log = flags.file.with_extension("log");
    let out = File::create(&log).wrap_err_with(|| format!("cannot write {}", log.display()))?;
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.arg("devnet").arg("--file").arg(&flags.file);
    if let Some(dir) = &flags.data_dir {
        command.arg("--data-dir").arg(dir);
    }
    command.args(["--sequencers", &flags.sequencers.to_string(), "--traffic", &flags.traffic.to_string()]);
    command.args(["--nodes.log", &flags.nodes_log]);
    if flags.no_index {
        command.arg("--no-index");
    }
    // Its own group: Ctrl-C in this terminal does not reach it.
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
    let mut child = command.spawn().wrap_err("cannot start the supervisor")?;
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("the devnet did not start ({status}); the end of {}:\n{}", log.display(), process::tail(&log, 20));
        }
        if flags.file.exists() {
            let description = Description::load(&flags.file)?;
            flags.format.print(&description, |d| {
                format!(
                    "{}\n\nRunning in the background (log: {}); end it with `baton devnet stop`",
                    d.table(&flags.file),
                    log.display()
                )
            })?;
            return Ok(());
        }
        ensure!(began.elapsed() < START_WITHIN, "the devnet is not up after {START_WITHIN:?}; see {}", log.display());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Shows a running devnet.
pub(super) async fn status(flags: &ControlFlags) -> Result<()> {
    let description = Description::load(&flags.file)?;
    ensure!(
        runs(&description),
        "the devnet of {} ended without cleaning up: remove the file, and {} if it exists",
        flags.file.display(),
        description.data_dir.display()
    );
    let mut heights = Vec::new();
    for node in &description.nodes {
        use alloy::providers::Provider;
        let height = crate::chain::http(&node.rpc).get_block_number().await;
        heights.push((node.name.clone(), height.ok()));
    }
    #[derive(serde::Serialize)]
    struct Status<'a> {
        #[serde(flatten)]
        description: &'a Description,
        heights: std::collections::BTreeMap<String, Option<u64>>,
    }
    let status = Status { description: &description, heights: heights.iter().cloned().collect() };
    flags.format.print(&status, |s| {
        let mut table = output::Table::new(["node", "height"]);
        for (name, height) in &heights {
            table.row([name.clone(), height.map_or_else(|| "does not answer".into(), |h| h.to_string())]);
        }
        format!("{}\n\n{}", s.description.table(&flags.file), table.render())
    })?;
    Ok(())
}

/// Asks the supervisor to end and waits until it has.
pub(super) async fn stop(flags: &ControlFlags) -> Result<()> {
    let description = Description::load(&flags.file)?;
    if !runs(&description) {
        let _ = fs::remove_file(&flags.file);
        bail!("the devnet of {} does not run any more; its description was removed", flags.file.display());
    }
    let pid = i32::try_from(description.pid).map_err(|_| eyre!("{} is no process id", description.pid))?;
    kill(Pid::from_raw(pid), Signal::SIGTERM).wrap_err("cannot reach the supervisor")?;
    let began = Instant::now();
    while runs(&description) {
        ensure!(
            began.elapsed() < STOP_WITHIN,
            "the supervisor (process {pid}) did not end within {STOP_WITHIN:?}; see its log, or end it with `kill -9 {pid}`"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    flags.format.print(&serde_json::json!({ "stopped": pid }), |_| "the devnet is stopped".into())?;
    Ok(())
}
