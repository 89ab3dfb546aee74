//! Walks through a struct of flags and the configuration that it makes, for tests that they agree.

use clap::{Args, Command};
use std::{collections::BTreeSet, fmt::Debug};

/// What flags change.
pub(super) struct Fields {
    /// Fields that a flag changes.
    pub(super) changed: usize,
    /// Fields that there are.
    pub(super) all: usize,
}

/// The flags as a command line gives them.
pub(super) fn parse<F: Args>(flags: &[&str]) -> Result<F, String> {
    let command = F::augment_args(Command::new("node"));
    let matches = command.try_get_matches_from(std::iter::once(&"node").chain(flags)).map_err(|e| e.to_string())?;
    F::from_arg_matches(&matches).map_err(|e| e.to_string())
}

/// Without flags there is the default; each flag changes one field, which no other changes. `shown` gives a value for a flag, and
/// how the field with it is shown.
pub(super) fn every_field_has_a_flag_and_its_default<F: Args, C: Debug + PartialEq>(
    config: impl Fn(&F) -> C,
    default: &C,
    shown: impl for<'a> Fn(&'a str) -> (&'static str, &'static str),
) -> Fields {
    let given = |flags: &[&str]| config(&parse(flags).unwrap());
    assert_eq!(given(&[]), *default);
    let mut changed = BTreeSet::new();
    let command = F::augment_args(Command::new("node"));
    for flag in command.get_arguments().filter_map(|flag| flag.get_long()) {
        let (value, shown) = shown(flag);
        let config = given(&[&format!("--{flag}"), value]);
        let differing: Vec<usize> = lines(&config)
            .iter()
            .zip(lines(default))
            .enumerate()
            .filter_map(|(place, (one, other))| (*one != other).then_some(place))
            .collect();
        assert_eq!(differing.len(), 1, "{flag} changes {differing:?}");
        assert!(changed.insert(differing[0]), "{flag} changes what another flag does");
        let text = format!("{config:?}");
        assert!(text.contains(shown), "{flag} is not in {text}");
    }
    Fields { changed: changed.len(), all: lines(default).len() }
}

/// Each field on a line of its own.
fn lines(config: &impl Debug) -> Vec<String> {
    let text = format!("{config:?}").replace("Only([", "Only(").replace("])", ")");
    text.split(", ").map(str::to_owned).collect()
}
