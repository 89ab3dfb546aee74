//! `baton evm statetest`: ethereum/tests' GeneralStateTests on the executor.

use super::{
    json::{Alloc, Number, accounts},
    t8n::logs_hash,
    transaction::{JsonTransaction, Read, decode},
};
use crate::output::{err, out};
use alloy::primitives::{Address, B256, Bytes, keccak256};
use baton_engine::{Environment, GenesisAccount, Rules, Transitions, state_root};
use baton_primitives::Header;
use clap::Args;
use eyre::{Result, WrapErr, eyre};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Which tests.
#[derive(Args, Debug)]
pub struct StateTest {
    /// Files, or directories of them. The results of all are printed as one JSON array.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only these rules; else all of a test's that are known (Cancun, Prague, Osaka).
    #[arg(long = "statetest.fork", visible_alias = "fork", value_name = "FORK")]
    fork: Option<String>,
    /// Only tests with this text in their names.
    #[arg(long, value_name = "TEXT", default_value = "")]
    run: String,
    /// Write {"stateRoot": …} of each test to standard error as it ends.
    #[arg(long)]
    json: bool,
    /// Print what failed and was left out, and how many passed, instead of every result.
    #[arg(long)]
    summary: bool,
}

#[derive(Debug, Deserialize)]
struct Test {
    env: TestEnv,
    pre: Alloc,
    transaction: Template,
    post: BTreeMap<String, Vec<Post>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestEnv {
    current_coinbase: Address,
    current_gas_limit: Number,
    current_number: Number,
    current_timestamp: Number,
    current_base_fee: Option<Number>,
    current_random: Option<Number>,
    current_excess_blob_gas: Option<Number>,
}

/// One transaction for each choice of data, gas limit and value.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Template {
    data: Vec<String>,
    gas_limit: Vec<String>,
    value: Vec<String>,
    access_lists: Option<Vec<Option<Value>>>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Post {
    hash: B256,
    logs: B256,
    indexes: Indexes,
    expect_exception: Option<String>,
    txbytes: Option<Bytes>,
}

#[derive(Debug, Deserialize)]
struct Indexes {
    data: usize,
    gas: usize,
    value: usize,
}

/// The result of one choice, in geth's form.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    name: String,
    pass: bool,
    state_root: B256,
    fork: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Whether the executor has no such transactions, so that nothing was compared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unsupported: bool,
}

/// Runs the verb.
///
/// # Errors
/// If a path cannot be read or holds something else than state tests.
pub fn run(verb: &StateTest) -> Result<ExitCode> {
    let mut files = Vec::new();
    for path in &verb.paths {
        gather(path, &mut files)?;
    }
    let transitions = Transitions::new()?;
    let mut outcomes = Vec::new();
    for file in &files {
        let named = || format!("{} is no state test", file.display());
        let text = std::fs::read_to_string(file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
        let tests: BTreeMap<String, Test> = serde_json::from_str(&text).wrap_err_with(named)?;
        for (name, test) in tests.into_iter().filter(|(name, _)| name.contains(&verb.run)) {
            let done = test.outcomes(&name, verb, &transitions).map_err(|error| eyre!("{name}: {error}"));
            outcomes.extend(done.wrap_err_with(named)?);
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.pass && !outcome.unsupported).count();
    if verb.summary {
        for outcome in outcomes.iter().filter(|outcome| !outcome.pass) {
            out(&serde_json::to_string(outcome)?);
        }
        let passed = outcomes.iter().filter(|outcome| outcome.pass).count();
        let unsupported = outcomes.len() - passed - failed;
        out(&format!("{} files: {passed} passed, {failed} failed, {unsupported} unsupported", files.len()));
    } else {
        out(&serde_json::to_string_pretty(&outcomes)?);
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The JSON files at or below `path`, by name.
fn gather(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
    let mut entries = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "json") {
            gather(&entry, files)?;
        }
    }
    Ok(())
}

impl Test {
    fn outcomes(self, name: &str, verb: &StateTest, transitions: &Transitions) -> Result<Vec<Outcome>> {
        let invalid = |error: String| eyre!(error);
        let before = accounts(self.pre).map_err(invalid)?;
        let mut outcomes = Vec::new();
        for (fork, posts) in &self.post {
            let wanted = verb.fork.as_ref().is_none_or(|wanted| wanted == fork);
            let Some(rules) = fork.parse::<Rules>().ok().filter(|_| wanted) else { continue };
            for (index, post) in posts.iter().enumerate() {
                let read = self.transaction.choose(post);
                let environment = self.env.environment(rules).map_err(invalid)?;
                let mut outcome = post.outcome(&before, &environment, read, transitions)?;
                (outcome.name, outcome.fork) = (format!("{name}/{fork}/{index}"), fork.clone());
                if verb.json {
                    err(&json!({ "stateRoot": outcome.state_root }).to_string());
                }
                outcomes.push(outcome);
            }
        }
        Ok(outcomes)
    }
}

impl TestEnv {
    fn environment(&self, rules: Rules) -> Result<Environment, String> {
        let number = self.current_number.u64()?;
        // As geth's statetest: a block's hash is that of its number written out.
        let hash = |height: u64| (height, keccak256(height.to_string()));
        Ok(Environment {
            rules,
            chain_id: 1,
            header: Header {
                number,
                beneficiary: self.current_coinbase,
                timestamp: self.current_timestamp.u64()?,
                gas_limit: self.current_gas_limit.u64()?,
                base_fee_per_gas: Some(self.current_base_fee.unwrap_or_default().u64()?),
                mix_hash: B256::from(self.current_random.unwrap_or_default().0),
                excess_blob_gas: Some(self.current_excess_blob_gas.unwrap_or_default().u64()?),
                ..Header::default()
            },
            hashes: (number.saturating_sub(256)..number).map(hash).collect(),
            withdrawals: Vec::new(),
            system: false,
        })
    }
}

impl Template {
    /// The transaction of this choice: from its bytes, where the file has them.
    fn choose(&self, post: &Post) -> Read {
        if let Some(bytes) = &post.txbytes {
            return decode(bytes);
        }
        let Indexes { data, gas, value } = post.indexes;
        let missing = || "the file lacks what its indexes name".to_owned();
        let mut object = self.rest.clone();
        object.insert("input".into(), self.data.get(data).ok_or_else(missing)?.as_str().into());
        object.insert("gas".into(), self.gas_limit.get(gas).ok_or_else(missing)?.as_str().into());
        object.insert("value".into(), self.value.get(value).ok_or_else(missing)?.as_str().into());
        if let Some(Some(list)) = self.access_lists.as_ref().and_then(|lists| lists.get(data)) {
            object.insert("accessList".into(), list.clone());
        }
        let transaction: JsonTransaction =
            serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())?;
        transaction.read(1)
    }
}

impl Post {
    fn outcome(
        &self,
        before: &BTreeMap<Address, GenesisAccount>,
        environment: &Environment,
        read: Read,
        transitions: &Transitions,
    ) -> Result<Outcome> {
        let unsupported = matches!(&read, Err(why) if why.contains("is not supported"));
        let (root, logs, refused) = match read {
            Ok(pair) => {
                let done = transitions.run(before, environment, &[pair])?;
                let refused = done.refused.first().map(|(_, why)| why.to_string());
                (done.state_root, logs_hash(&done.receipts), refused)
            }
            Err(why) => (state_root(before), logs_hash(&[]), Some(why)),
        };
        let error = match (&self.expect_exception, refused) {
            (None, Some(why)) => Some(format!("refused: {why}")),
            (Some(expected), None) => Some(format!("executed, though it must be refused: {expected}")),
            _ if root != self.hash => Some(format!("post state root mismatch: got {root}, want {}", self.hash)),
            _ if logs != self.logs => Some(format!("post state logs hash mismatch: got {logs}, want {}", self.logs)),
            _ => None,
        };
        let unsupported = unsupported && error.is_some();
        let (name, fork) = (String::new(), String::new());
        Ok(Outcome { name, pass: error.is_none(), state_root: root, fork, error, unsupported })
    }
}
