//! `baton keys`: make and show a node's keys.

use crate::{
    keys::PublicKeys,
    output::{Format, Table},
};
use baton_node::OperatorKeys;
use clap::{Args, Subcommand};
use eyre::Result;
use std::path::PathBuf;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Make a vote key, a network identity and a poster account in a directory that holds none yet.
    New(Directory),
    /// Show the public halves.
    Show(Directory),
}

/// Where the keys are.
#[derive(Args, Debug)]
pub struct Directory {
    /// Directory of the key files.
    #[arg(long, env = "BATON_KEYS")]
    keys: PathBuf,
    #[command(flatten)]
    format: Format,
}

/// Runs the verb.
///
/// # Errors
/// If the files cannot be read or written.
pub fn run(verb: KeysVerb) -> Result<()> {
    let (keys, format) = match verb {
        KeysVerb::New(Directory { keys, format }) => {
            let new = OperatorKeys::random();
            new.save(&keys)?;
            (new, format)
        }
        KeysVerb::Show(Directory { keys, format }) => (OperatorKeys::load(&keys)?, format),
    };
    format.print(&PublicKeys::from(&keys), |public| {
        let mut table = Table::plain();
        table.row(["vote key (BLS12-381)".into(), public.vote.to_string()]);
        table.row(["identity (ed25519)".into(), public.identity.to_string()]);
        table.row(["poster account".into(), public.poster.to_string()]);
        table.render()
    })?;
    Ok(())
}
