//! The operator's hot keys as three files of one directory, each one line of `0x` hex, readable by their owner only:
//! `vote.key` (BLS12-381 scalar), `identity.key` (ed25519 seed), `poster.key` (secp256k1 scalar).

use alloy::{hex, primitives::B256, signers::local::PrivateKeySigner};
use baton_primitives::{IdentitySecret, bls};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

const VOTE: &str = "vote.key";
const IDENTITY: &str = "identity.key";
const POSTER: &str = "poster.key";

/// The hot keys of one node. `Debug` shows public halves only.
#[derive(Clone, Debug)]
pub struct OperatorKeys {
    /// Signs consensus votes and batches.
    pub vote: bls::SecretKey,
    /// Network identity.
    pub identity: IdentitySecret,
    /// Pays for and signs L1 transactions.
    pub poster: PrivateKeySigner,
}

/// Why keys cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// File system.
    #[error("{path}: {source}; `baton keys new --keys <dir>` makes a set of keys")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Not 32 bytes of hex, or not a key.
    #[error("{path} does not hold a valid key: one line of 64 hex digits is expected")]
    Invalid {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the secret.
    #[error("{path} is readable by others (mode {mode:o}); run `chmod 600 {path}`")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl OperatorKeys {
    /// A new random set.
    pub fn random() -> Self {
        let seed: [u8; 32] = B256::random().0;
        Self {
            vote: bls::SecretKey::random(),
            identity: IdentitySecret::from_bytes(seed),
            poster: PrivateKeySigner::random(),
        }
    }

    /// Reads the three files.
    ///
    /// # Errors
    /// If a file is missing, malformed or readable by others.
    pub fn load(directory: &Path) -> Result<Self, KeyError> {
        let vote = directory.join(VOTE);
        let poster = directory.join(POSTER);
        Ok(Self {
            vote: bls::SecretKey::from_bytes(&read_secret(&vote)?).map_err(|_| KeyError::Invalid { path: vote })?,
            identity: IdentitySecret::from_bytes(read_secret(&directory.join(IDENTITY))?),
            poster: PrivateKeySigner::from_bytes(&B256::from(read_secret(&poster)?))
                .map_err(|_| KeyError::Invalid { path: poster })?,
        })
    }

    /// Writes the three files; refuses to overwrite any.
    ///
    /// # Errors
    /// If the directory cannot be made or a file exists already.
    pub fn save(&self, directory: &Path) -> Result<(), KeyError> {
        fs::create_dir_all(directory).map_err(|source| KeyError::Io { path: directory.into(), source })?;
        write_secret(&directory.join(VOTE), &self.vote.to_bytes())?;
        write_secret(&directory.join(IDENTITY), &self.identity.to_bytes())?;
        write_secret(&directory.join(POSTER), &self.poster.to_bytes().0)
    }
}

/// Reads 32 secret bytes written as one line of hex.
///
/// # Errors
/// If the file is missing, malformed or readable by others.
pub fn read_secret(path: &Path) -> Result<[u8; 32], KeyError> {
    let io = |source| KeyError::Io { path: path.into(), source };
    let mode = fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Permissions { path: path.into(), mode });
    }
    let text = fs::read_to_string(path).map_err(io)?;
    hex::decode_to_array(text.trim()).map_err(|_| KeyError::Invalid { path: path.into() })
}

/// Writes 32 secret bytes as one line of hex into a new file of mode 0600.
///
/// # Errors
/// If the file exists or cannot be written.
pub fn write_secret(path: &Path, secret: &[u8; 32]) -> Result<(), KeyError> {
    let io = |source| KeyError::Io { path: path.into(), source };
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    writeln!(file, "{}", hex::encode_prefixed(secret)).map_err(io)?;
    file.sync_all().map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_a_round_trip_and_are_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let keys = OperatorKeys::random();
        keys.save(directory.path()).unwrap();
        let read = OperatorKeys::load(directory.path()).unwrap();
        assert_eq!(read.vote.to_bytes(), keys.vote.to_bytes());
        assert_eq!(read.identity.public(), keys.identity.public());
        assert_eq!(read.poster.address(), keys.poster.address());
        assert!(matches!(keys.save(directory.path()), Err(KeyError::Io { .. })));
    }

    #[test]
    fn keys_readable_by_others_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        OperatorKeys::random().save(directory.path()).unwrap();
        let path = directory.path().join(VOTE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(OperatorKeys::load(directory.path()), Err(KeyError::Permissions { mode: 0o644, .. })));
    }

    #[test]
    fn debug_never_shows_a_secret() {
        let keys = OperatorKeys::random();
        let shown = format!("{keys:?}");
        for secret in [keys.vote.to_bytes(), keys.identity.to_bytes(), keys.poster.to_bytes().0] {
            assert!(!shown.contains(&hex::encode(secret)));
        }
    }
}
