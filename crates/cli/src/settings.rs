//! One schema, four sources. Every setting is a dotted flag; its twin in the environment and its place in the TOML file
//! follow from the flag's name:
//!
//! ```text
//! --poster.max-fee 200   >   BATON_POSTER_MAX_FEE=200   >   [poster] max-fee = 200   >   the default
//! ```
//!
//! The file is read first and becomes the defaults of the flags, so that one parser checks every value, whatever its
//! source. Keys that are no flag are refused. Secrets are paths, never values.
#![allow(clippy::wildcard_enum_match_arm, reason = "wide enums of other crates, all others alike")]

use clap::{ArgMatches, Command, parser::ValueSource};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// The flag that names the file, and its twin.
const FILE_FLAG: &str = "--config";
const FILE_VARIABLE: &str = "BATON_CONFIG";

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}; check the path given with --config or {FILE_VARIABLE}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not TOML: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's answer, with line and column.
        reason: String,
    },
    /// The file has a key that no setting has.
    #[error("{path} sets `{key}`, which is no setting of `baton {verb}`{hint}; `baton config show` lists them all")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The dotted key.
        key: String,
        /// The verb.
        verb: String,
        /// The closest setting, as a suggestion.
        hint: String,
    },
    /// A value is neither text, number, truth value nor a list of them.
    #[error(
        "{path} sets `{key}` to a value of the wrong kind: expected text, a number, true or false, or a list of these"
    )]
    Kind {
        /// The file.
        path: PathBuf,
        /// The dotted key.
        key: String,
    },
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "name")]
pub enum Source {
    /// A flag of the command line.
    Flag(String),
    /// A variable of the environment.
    Variable(String),
    /// The configuration file.
    File(PathBuf),
    /// Nothing set it.
    Default,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One setting in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Dotted name.
    pub name: String,
    /// Its values (most settings have one, some a list; none if unset).
    pub values: Vec<String>,
    /// Where they came from.
    pub source: Source,
}

/// The values of a configuration file by dotted key.
#[derive(Clone, Debug, Default)]
pub struct FileValues {
    path: PathBuf,
    values: BTreeMap<String, Vec<String>>,
}

impl FileValues {
    /// Reads the file named by the arguments or the environment; empty if neither names one.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML or holds nested lists or dates.
    pub fn find(arguments: &[OsString]) -> Result<Self, SettingsError> {
        match file_in(arguments).or_else(|| env::var_os(FILE_VARIABLE).map(PathBuf::from)) {
            Some(path) => Self::read(&path),
            None => Ok(Self::default()),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.into(), source })?;
        let table: toml::Table = text
            .parse()
            .map_err(|e: toml::de::Error| SettingsError::Syntax { path: path.into(), reason: e.to_string() })?;
        let mut values = BTreeMap::new();
        flatten(path, "", &table, &mut values)?;
        Ok(Self { path: path.into(), values })
    }

    /// Makes the values the defaults of the flags of `command`.
    ///
    /// # Errors
    /// [`SettingsError::Unknown`] for a key that is no flag of it.
    pub fn apply(&self, mut command: Command) -> Result<Command, SettingsError> {
        let flags = setting_names(&command);
        for (key, values) in &self.values {
            if !flags.contains_key(key) {
                return Err(SettingsError::Unknown {
                    path: self.path.clone(),
                    key: key.clone(),
                    verb: command.get_name().into(),
                    hint: closest(key, flags.keys()).map(|k| format!(" (did you mean `{k}`?)")).unwrap_or_default(),
                });
            }
            let id = flags[key].clone();
            // clap keeps defaults as static text: the file is read once in the life of the process.
            let values: Vec<&'static str> = values.iter().map(|v| &*v.clone().leak()).collect();
            // A required value that the file gives is no longer required on the command line.
            command = command.mut_arg(id, move |arg| arg.required(false).default_values(values));
        }
        Ok(command)
    }

    /// Every setting of `command` as parsed into `matches`, with its source.
    pub fn in_force(&self, command: &Command, matches: &ArgMatches) -> Vec<Setting> {
        setting_names(command)
            .into_iter()
            .map(|(name, id)| {
                let values = matches
                    .get_raw(&id)
                    .map(|raw| raw.map(|v| v.to_string_lossy().into_owned()).collect())
                    .unwrap_or_default();
                let source = match matches.value_source(&id) {
                    Some(ValueSource::CommandLine) => Source::Flag(format!("--{name}")),
                    Some(ValueSource::EnvVariable) => Source::Variable(variable_of(&name)),
                    _ if self.values.contains_key(&name) => Source::File(self.path.clone()),
                    _ => Source::Default,
                };
                Setting { name, values, source }
            })
            .collect()
    }
}

/// The twin in the environment of a dotted flag.
pub fn variable_of(name: &str) -> String {
    format!("BATON_{}", name.replace(['.', '-'], "_").to_uppercase())
}

/// Dotted names of the settings of a command (its flags but `help`, `config`, `json`), with their argument ids.
fn setting_names(command: &Command) -> BTreeMap<String, String> {
    command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_long()?.to_owned(), arg.get_id().to_string())))
        .filter(|(long, _)| !matches!(long.as_str(), "help" | "version" | "config" | "json" | "exit-on-stdin-close"))
        .collect()
}

fn file_in(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if text == FILE_FLAG {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = text.strip_prefix(FILE_FLAG).and_then(|rest| rest.strip_prefix('=')) {
            return Some(path.into());
        }
    }
    None
}

fn flatten(
    path: &Path,
    prefix: &str,
    table: &toml::Table,
    out: &mut BTreeMap<String, Vec<String>>,
) -> Result<(), SettingsError> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let scalar = |value: &toml::Value| match value {
            toml::Value::String(s) => Ok(s.clone()),
            toml::Value::Integer(i) => Ok(i.to_string()),
            toml::Value::Float(f) => Ok(f.to_string()),
            toml::Value::Boolean(b) => Ok(b.to_string()),
            toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
                Err(SettingsError::Kind { path: path.into(), key: key.clone() })
            }
        };
        match value {
            toml::Value::Table(inner) => flatten(path, &key, inner, out)?,
            toml::Value::Array(items) => {
                out.insert(key.clone(), items.iter().map(scalar).collect::<Result<_, _>>()?);
            }
            other => {
                out.insert(key.clone(), vec![scalar(other)?]);
            }
        }
    }
    Ok(())
}

/// The known key with the smallest edit distance, if that is small.
fn closest<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    known.map(|k| (distance(key, k), k)).min().filter(|(d, _)| *d <= 3).map(|(_, k)| k)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};

    #[derive(Args, Debug)]
    struct Example {
        #[arg(long = "poster.max-fee", env = "BATON_POSTER_MAX_FEE", default_value = "100")]
        max_fee: u64,
        #[arg(long = "l1.url", env = "BATON_L1_URL", required = true)]
        urls: Vec<String>,
    }

    fn parse(file: &str, flags: &[&str]) -> Result<(Example, Vec<Setting>), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("baton.toml");
        fs::write(&path, file).unwrap();
        let values = FileValues::read(&path).map_err(|e| e.to_string())?;
        let command = values.apply(Example::augment_args(Command::new("node"))).map_err(|e| e.to_string())?;
        let matches =
            command.clone().try_get_matches_from(std::iter::once(&"node").chain(flags)).map_err(|e| e.to_string())?;
        let settings = values.in_force(&command, &matches);
        Ok((Example::from_arg_matches(&matches).map_err(|e| e.to_string())?, settings))
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let (example, settings) = parse("[poster]\nmax-fee = 7\n[l1]\nurl = ['http://a', 'http://b']", &[]).unwrap();
        assert_eq!((example.max_fee, example.urls.len()), (7, 2));
        assert!(settings.iter().all(|s| matches!(s.source, Source::File(_))), "{settings:?}");
        let (example, settings) =
            parse("[poster]\nmax-fee = 7", &["--poster.max-fee", "9", "--l1.url", "http://c"]).unwrap();
        assert_eq!(example.max_fee, 9);
        assert!(settings.iter().all(|s| matches!(s.source, Source::Flag(_))), "{settings:?}");
    }

    #[test]
    fn an_unknown_key_is_refused_with_a_suggestion() {
        let error = parse("[poster]\nmax-fees = 7", &["--l1.url", "http://c"]).unwrap_err();
        assert!(error.contains("`poster.max-fees`") && error.contains("did you mean `poster.max-fee`"), "{error}");
    }

    #[test]
    fn a_value_of_the_file_is_checked_like_a_flag() {
        let error = parse("[poster]\nmax-fee = 'much'", &["--l1.url", "http://c"]).unwrap_err();
        assert!(error.contains("much") && error.contains("poster.max-fee"), "{error}");
    }

    #[test]
    fn a_missing_required_setting_is_named() {
        let error = parse("", &[]).unwrap_err();
        assert!(error.contains("l1.url"), "{error}");
    }
}
