//! Child processes that cannot outlive their parent.
//!
//! Each child runs in its own process group, so that Ctrl-C in a terminal reaches only the supervisor, which then stops
//! the children in order. The parent holds the writing end of the child's standard input: when the parent ends, however it
//! ends, the pipe closes. `baton` verbs watch it with `--exit-on-stdin-close`; foreign programs run under `baton guard`.

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::process::{Child, ChildStdin, Command};

/// How to start a child.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What messages call it.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables added to the inherited environment.
    pub env: Vec<(OsString, OsString)>,
    /// File to which its output and errors are appended.
    pub log: PathBuf,
}

/// Why a child did not start or ended early.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program cannot be started.
    #[error("cannot start {name} ({program}): {source}")]
    Spawn {
        /// What it is.
        name: String,
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The log file cannot be opened.
    #[error("cannot write the log of {name} to {log}: {source}")]
    Log {
        /// What it is.
        name: String,
        /// The file.
        log: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It ended although it should run.
    #[error("{name} ended early ({status}); the end of its log {log}:\n{tail}")]
    Ended {
        /// What it is.
        name: String,
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    spec: Spec,
    child: Child,
    id: Pid,
    // Held open: its closing tells the child that the parent is gone.
    stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts the child.
    ///
    /// # Errors
    /// If the log cannot be opened or the program not be started.
    pub fn spawn(spec: Spec) -> Result<Self, ProcessError> {
        let open = || -> io::Result<(File, File)> {
            let file = OpenOptions::new().create(true).append(true).open(&spec.log)?;
            Ok((file.try_clone()?, file))
        };
        let (out, err) =
            open().map_err(|source| ProcessError::Log { name: spec.name.clone(), log: spec.log.clone(), source })?;
        let mut child = Command::new(&spec.program)
            .args(&spec.args)
            .envs(spec.env.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ProcessError::Spawn { name: spec.name.clone(), program: spec.program.clone(), source })?;
        // A child that was never polled has an id.
        let id = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let id = id.expect("invariant: a child that was just spawned has a process id");
        let stdin = child.stdin.take();
        Ok(Self { spec, child, id, stdin })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its process id.
    pub fn id(&self) -> i32 {
        self.id.as_raw()
    }

    /// How it was started.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        &self.spec.log
    }

    /// Whether it still runs; an error with the end of its log if it does not.
    ///
    /// # Errors
    /// [`ProcessError::Ended`].
    pub fn check(&mut self) -> Result<(), ProcessError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(Some(status))),
            Err(_) => Err(self.ended(None)),
        }
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        // tokio closes a held stdin in `wait`; ours was taken out at the start, so that waiting does not end the child.
        self.child.wait().await
    }

    /// Describes an unexpected end.
    pub fn ended(&self, status: Option<ExitStatus>) -> ProcessError {
        ProcessError::Ended {
            name: self.spec.name.clone(),
            status: status.map_or_else(|| "status unknown".into(), |s| s.to_string()),
            log: self.spec.log.clone(),
            tail: tail(&self.spec.log, 20),
        }
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        // Only after this check is the id certain to be our child's and not a recycled one.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(self.id, signal);
        }
    }

    /// The group holds the child and, under a guard, the program that it runs.
    fn kill_group(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = killpg(self.id, Signal::SIGKILL);
        }
    }

    /// Asks it to end, and kills it if it has not after `grace`. Answers whether it ended by itself.
    pub async fn stop(&mut self, grace: Duration) -> bool {
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(grace, self.child.wait()).await.is_ok() {
            self.stdin = None;
            return true;
        }
        self.kill().await;
        false
    }

    /// Kills it and its group (SIGKILL), and waits until it is gone.
    pub async fn kill(&mut self) {
        self.kill_group();
        let _ = self.child.wait().await;
        self.stdin = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
    }
}

/// Runs a foreign program until it ends, the parent's end of our standard input closes, or a signal asks us to end; then
/// stops it (SIGTERM, after `grace` SIGKILL). Answers the exit code to end with.
///
/// # Errors
/// If the program cannot be started.
pub async fn guard(program: &Path, args: &[OsString], grace: Duration) -> io::Result<i32> {
    // In our own group, so that killing the group ends both.
    let mut child = Command::new(program).args(args).stdin(Stdio::null()).kill_on_drop(true).spawn()?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    tokio::select! {
        status = child.wait() => return Ok(status?.code().unwrap_or(1)),
        () = end_of_life(true) => {}
    }
    if let Some(id) = id.filter(|_| matches!(child.try_wait(), Ok(None))) {
        let _ = kill(id, Signal::SIGTERM);
        if tokio::time::timeout(grace, child.wait()).await.is_err() {
            child.kill().await?;
        }
    }
    Ok(0)
}

/// Completes when the standard input reaches its end: the parent is gone.
pub async fn stdin_closed() {
    let (told, ended) = tokio::sync::oneshot::channel();
    // A thread of its own, which ends with the process: a runtime would wait for the read before it ends.
    std::thread::spawn(move || {
        let mut sink = [0u8; 256];
        while !matches!(io::stdin().read(&mut sink), Ok(0) | Err(_)) {}
        let _ = told.send(());
    });
    let _ = ended.await;
}

/// Completes on SIGINT (Ctrl-C) or SIGTERM.
pub async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        }
        _ => std::future::pending().await,
    }
}

/// Completes on SIGINT, on SIGTERM and, if `watch_stdin`, at the end of standard input.
pub async fn end_of_life(watch_stdin: bool) {
    tokio::select! {
        () = asked_to_end() => {}
        () = stdin_closed(), if watch_stdin => {}
    }
}

/// The last `lines` lines of a file, read from its last 64 KiB; empty if it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    const WINDOW: u64 = 64 * 1024;
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|l| format!("  {l}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(dir: &Path, script: &str) -> Spec {
        Spec {
            name: "child".into(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![],
            log: dir.join("child.log"),
        }
    }

    #[tokio::test]
    async fn a_child_that_ends_early_is_named_with_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Process::spawn(spec(dir.path(), "echo the reason; exit 3")).unwrap();
        child.wait().await.unwrap();
        let error = child.check().unwrap_err().to_string();
        assert!(error.contains("the reason") && error.contains('3'), "{error}");
    }

    #[tokio::test]
    async fn a_child_sees_the_end_of_its_parent_as_the_end_of_its_input() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Process::spawn(spec(dir.path(), "cat; exit 7")).unwrap();
        child.check().unwrap();
        child.stdin = None;
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn a_child_that_ignores_the_request_to_end_is_killed_after_the_grace() {
        let dir = tempfile::tempdir().unwrap();
        let mut child =
            Process::spawn(spec(dir.path(), "trap '' TERM; echo ready; while :; do sleep 0.05; done")).unwrap();
        while !tail(child.log(), 1).contains("ready") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!child.stop(Duration::from_millis(100)).await);
        assert!(child.check().is_err());
    }
}
