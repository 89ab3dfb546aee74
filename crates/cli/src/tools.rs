//! Where the pinned foreign programs are, and which network ports are free.

use parking_lot::Mutex;
use rand::Rng;
use std::{
    collections::BTreeSet,
    env,
    net::TcpListener,
    path::{Path, PathBuf},
};

/// Variable that names the directory with `node_modules`, if it is not found from the working directory or the binary.
pub const TOOLS_VARIABLE: &str = "BATON_TOOLS";

/// A tool is not installed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name} is not installed: run `npx rust-just tools` in the repository (it runs `npm ci` in anvil/), or set {TOOLS_VARIABLE} to \
     the directory whose node_modules holds it"
)]
pub struct ToolMissing {
    /// The program.
    pub name: String,
}

/// The path of `anvil`, `cast` or `forge`: the platform's own binary, past the launcher script that would not pass signals on.
///
/// # Errors
/// [`ToolMissing`].
pub fn foundry(name: &str) -> Result<PathBuf, ToolMissing> {
    let modules = node_modules().ok_or_else(|| ToolMissing { name: name.into() })?;
    let system = match env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let machine = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let native = modules.join(format!("@foundry-rs/{name}-{system}-{machine}/bin/{name}"));
    let launcher = modules.join(".bin").join(name);
    [native, launcher].into_iter().find(|p| p.exists()).ok_or_else(|| ToolMissing { name: name.into() })
}

/// The directory `anvil/node_modules` of the repository.
pub fn node_modules() -> Option<PathBuf> {
    if let Some(dir) = env::var_os(TOOLS_VARIABLE) {
        return Some(PathBuf::from(dir).join("node_modules")).filter(|d| d.is_dir());
    }
    let starts = [env::current_dir().ok(), env::current_exe().ok()];
    starts
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .map(|dir| dir.join("anvil/node_modules"))
        .find(|dir| dir.is_dir())
}

/// This program, or the `baton` binary beside a test program of the same build.
///
/// # Errors
/// [`ToolMissing`] if a test runs before the binary was built.
pub fn baton() -> Result<PathBuf, ToolMissing> {
    let name = "baton";
    let missing = || ToolMissing { name: format!("{name} (build it with `cargo build --workspace --all-targets`)") };
    let own = env::current_exe().map_err(|_| missing())?;
    if own.file_name().is_some_and(|n| n == name) {
        return Ok(own);
    }
    own.ancestors().skip(1).take(3).map(|dir| dir.join(name)).find(|p| p.is_file()).ok_or_else(missing)
}

/// A TCP port of the loopback interface that is free now and that this process has not handed out before: `preferred` if
/// it is free, else a random one below the range from which systems serve outgoing connections.
pub fn free_port(preferred: Option<u16>) -> u16 {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut taken = TAKEN.lock();
    let mut next = preferred;
    loop {
        let port = next.take().unwrap_or_else(|| rand::rng().random_range(10_000..30_000));
        if !taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.insert(port);
            return port;
        }
    }
}

/// The first directory among `start` and its ancestors that holds `name`.
pub fn find_upwards(start: &Path, name: &str) -> Option<PathBuf> {
    start.ancestors().map(|dir| dir.join(name)).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_not_handed_out() {
        let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        assert_ne!(free_port(Some(port)), port);
    }

    #[test]
    fn a_port_is_handed_out_once() {
        let port = free_port(None);
        assert_ne!(free_port(Some(port)), port);
    }
}
