//! The tree of verbs, and the way from the arguments to the one that runs.

use crate::{
    process,
    settings::{FileValues, Setting},
    verbs,
};
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use eyre::{Result, WrapErr};
use std::{ffi::OsString, io::IsTerminal, path::PathBuf, process::ExitCode, time::Duration};
use tracing_subscriber::EnvFilter;

/// A decentralized sequencer: stake, elect, sequence, agree, certify, post, pay, index.
#[derive(Debug, Parser)]
#[command(name = "baton", version, max_term_width = 120, subcommand_required = true, arg_required_else_help = true)]
pub struct App {
    #[command(flatten)]
    log: Log,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args, Debug)]
struct Log {
    /// Which log lines to write, for example `info,baton_consensus=debug`.
    #[arg(long = "log.filter", env = "BATON_LOG_FILTER", global = true, hide = true)]
    filter: Option<String>,
    /// Write log lines as JSON.
    #[arg(long = "log.json", env = "BATON_LOG_JSON", global = true, hide = true)]
    log_json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the whole system on this machine: L1, sequencers, follower, index, API, page.
    Devnet(Box<crate::devnet::DevnetFlags>),
    /// Run a sequencer's node (with keys) or a follower (without).
    Node(Box<verbs::node::NodeFlags>),
    /// Rebuild the chain from L1 alone and print its head.
    Derive(verbs::derive::Derive),
    /// Write what happened to Postgres.
    Indexer(verbs::index::IndexerFlags),
    /// Answer questions from Postgres and serve the page.
    Api(verbs::api::ApiFlags),
    /// Deploy the contracts.
    Deploy(verbs::deploy::Deploy),
    /// Start the deployed chain with its founding set.
    Start(verbs::deploy::Start),
    #[command(flatten)]
    Stake(verbs::stake::StakeVerb),
    #[command(flatten)]
    Owner(verbs::owner::OwnerVerb),
    /// Show every sequencer.
    Sequencers(verbs::set::Sequencers),
    /// Show who leads which term.
    #[command(visible_alias = "leader")]
    Duties(verbs::set::Duties),
    /// Check an installation and say how to mend it.
    Doctor(Box<verbs::doctor::Doctor>),
    /// Measure transfers per second and time to finality, side by side with Anvil.
    Bench(verbs::bench::Bench),
    /// Show the settings in force and where each comes from.
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Make and show a node's keys.
    #[command(subcommand)]
    Keys(verbs::keys::KeysVerb),
    /// Drive the executor as other implementations of the EVM are driven.
    #[command(subcommand)]
    Evm(verbs::evm::EvmVerb),
    /// Run a program that ends when its parent does.
    #[command(hide = true)]
    Guard(Guard),
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// The settings of `baton node`, given the same flags, environment and file.
    Show(Box<verbs::config::Show>),
}

#[derive(Args, Debug)]
struct Guard {
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Parses the arguments and runs the verb. Errors go to standard error and make the exit code 1 (2 for bad arguments).
#[allow(clippy::print_stderr)]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let parsed = match parse(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(usage) => {
                let _ = usage.print();
                return if usage.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
            }
            Err(error) => {
                eprintln!("error: {}", chain_text(&error));
                return ExitCode::from(2);
            }
        },
    };
    start_log(&parsed.app.log, parsed.app.verb.serves());
    match run(parsed) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", chain_text(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes on one line, without those whose text an earlier one has in it.
fn chain_text(error: &eyre::Report) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The arguments as understood, with the settings' sources.
struct Parsed {
    app: App,
    settings: Vec<Setting>,
}

fn parse(arguments: &[OsString]) -> Result<Parsed> {
    let mut command = App::command();
    let mut file = FileValues::default();
    let path = verb_path(&command, arguments);
    // Only long-running verbs read a file; `baton keys` must work whatever BATON_CONFIG names.
    if subcommand(&command, &path).get_arguments().any(|a| a.get_long() == Some("config")) {
        file = FileValues::find(arguments)?;
        let adjusted = file.apply(subcommand(&command, &path).clone())?;
        command = replace(command, &path, adjusted);
    }
    let matches = command.clone().try_get_matches_from(arguments)?;
    let settings = in_force(&file, &command, &matches);
    Ok(Parsed { app: App::from_arg_matches(&matches)?, settings })
}

/// Names of the verb and its sub-verb in the arguments.
fn verb_path(command: &Command, arguments: &[OsString]) -> Vec<String> {
    let mut path = Vec::new();
    let mut at = command;
    for argument in arguments.iter().skip(1) {
        if !at.has_subcommands() {
            break;
        }
        if let Some(next) = at.find_subcommand(argument) {
            path.push(next.get_name().to_owned());
            at = next;
        }
    }
    path
}

fn subcommand<'a>(command: &'a Command, path: &[String]) -> &'a Command {
    path.iter().fold(command, |at, name| at.find_subcommand(name).unwrap_or(at))
}

fn replace(command: Command, path: &[String], with: Command) -> Command {
    match path {
        [] => with,
        [name, rest @ ..] => command.mut_subcommand(name, |inner| replace(inner, rest, with)),
    }
}

fn in_force(file: &FileValues, command: &Command, matches: &ArgMatches) -> Vec<Setting> {
    let (mut command, mut matches) = (command, matches);
    while let Some((name, inner)) = matches.subcommand() {
        let Some(next) = command.find_subcommand(name) else { break };
        (command, matches) = (next, inner);
    }
    file.in_force(command, matches)
}

impl Verb {
    /// Whether the verb runs for long and is read by its log.
    const fn serves(&self) -> bool {
        matches!(self, Self::Node(_) | Self::Indexer(_) | Self::Api(_))
    }
}

/// What a long-running verb logs: the libraries only when something is wrong.
pub const SERVING: &str = "warn,baton=info";

fn start_log(log: &Log, serves: bool) {
    let default = if serves { SERVING } else { "warn" };
    let filter = log.filter.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    // A second initialisation (tests) keeps the first.
    if log.log_json {
        let lines = lines.json().with_env_filter(filter).with_filter_reloading();
        let handle = lines.reload_handle();
        baton_node::control_log(Box::new(move |text| reload(text, |filter| handle.reload(filter))));
        let _ = lines.try_init();
    } else {
        let lines = lines.with_env_filter(filter).with_filter_reloading();
        let handle = lines.reload_handle();
        baton_node::control_log(Box::new(move |text| reload(text, |filter| handle.reload(filter))));
        let _ = lines.try_init();
    }
}

/// Reads a filter and puts it in force.
fn reload(text: &str, set: impl Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error>) -> Result<(), String> {
    let filter = EnvFilter::try_new(text).map_err(|error| error.to_string())?;
    set(filter).map_err(|error| error.to_string())
}

fn run(parsed: Parsed) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().wrap_err("cannot start threads")?;
    runtime.block_on(dispatch(parsed)).inspect_err(|_| ())
}

async fn dispatch(parsed: Parsed) -> Result<ExitCode> {
    match parsed.app.verb {
        Verb::Devnet(flags) => Box::pin(crate::devnet::run(*flags)).await?,
        Verb::Node(flags) => Box::pin(verbs::node::run(&flags)).await?,
        Verb::Derive(verb) => Box::pin(verbs::derive::run(&verb)).await?,
        Verb::Indexer(flags) => return Box::pin(verbs::index::run(&flags)).await,
        Verb::Api(flags) => Box::pin(verbs::api::run(&flags)).await?,
        Verb::Deploy(verb) => Box::pin(verbs::deploy::deploy(&verb)).await?,
        Verb::Start(verb) => Box::pin(verbs::deploy::start(&verb)).await?,
        Verb::Stake(verb) => Box::pin(verbs::stake::run(verb)).await?,
        Verb::Owner(verb) => Box::pin(verbs::owner::run(verb)).await?,
        Verb::Sequencers(verb) => Box::pin(verbs::set::sequencers(&verb)).await?,
        Verb::Duties(verb) => Box::pin(verbs::set::duties(&verb)).await?,
        Verb::Doctor(verb) => Box::pin(verbs::doctor::run(&verb)).await?,
        Verb::Bench(verb) => {
            verbs::bench::announce(&verb);
            Box::pin(verbs::bench::run(&verb)).await?;
        }
        Verb::Config(ConfigVerb::Show(show)) => verbs::config::show(&show, &parsed.settings)?,
        Verb::Keys(verb) => verbs::keys::run(verb)?,
        Verb::Evm(verb) => return verbs::evm::run(&verb),
        Verb::Guard(Guard { command }) => {
            let Some((program, arguments)) = command.split_first() else { return Ok(ExitCode::FAILURE) };
            let program = PathBuf::from(program);
            let code = process::guard(&program, arguments, Duration::from_secs(2))
                .await
                .wrap_err_with(|| format!("cannot start {}", program.display()))?;
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::variable_of;

    #[test]
    fn every_flag_with_a_twin_in_the_environment_has_the_right_one() {
        fn walk(command: &Command) {
            for argument in command.get_arguments() {
                if let (Some(long), Some(variable)) = (argument.get_long(), argument.get_env()) {
                    assert_eq!(variable.to_string_lossy(), variable_of(long), "--{long}");
                }
            }
            command.get_subcommands().for_each(walk);
        }
        App::command().debug_assert();
        walk(&App::command());
    }

    #[test]
    fn settings_of_a_node_come_from_flags_in_dotted_form() {
        let arguments =
            ["baton", "config", "show", "--data-dir", "/d", "--deployment", "/x", "--l1.url", "http://l1:1"];
        let parsed = parse(&arguments.map(OsString::from)).unwrap();
        let url = parsed.settings.iter().find(|s| s.name == "l1.url").unwrap();
        assert_eq!(url.values, ["http://l1:1"]);
        assert_eq!(url.source.to_string(), "flag --l1.url");
    }
}
