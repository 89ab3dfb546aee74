//! What owners and delegators change about what they have: moving a delegation, commission, owner, profile, declared absence.

use super::l1::{Done, SenderFlags, amount, mined};
use crate::output::{Format, ether};
use alloy::primitives::{Address, B256, U256};
use baton_bindings::contracts::{IProfiles, Profiles, SequencerPool, Staking};
use clap::{Args, Subcommand};
use eyre::{Result, eyre};

/// Verbs that change what is staked already.
#[derive(Debug, Subcommand)]
pub enum OwnerVerb {
    /// Move a delegation to another sequencer without unbonding.
    Switch(Switch),
    /// Set your sequencer's commission; a rise counts from the snapshot after the next one on.
    Commission(Commission),
    /// Name the next owner of your sequencer, who has to accept.
    ProposeOwner(ProposeOwner),
    /// Become the owner of a sequencer that was offered to you: of its self-stake and income too.
    AcceptOwner(OfSequencer),
    /// Say who you are: name, page and picture of your sequencer.
    Profile(Profile),
    /// Announce epochs in which your sequencer may be away without being jailed for it.
    Downtime(Downtime),
    /// Take your sequencer out of the active set; its stake stays.
    Leave(OfSequencer),
}

/// `baton switch`.
#[derive(Args, Debug)]
pub struct Switch {
    #[command(flatten)]
    sender: SenderFlags,
    /// The sequencer to leave.
    #[arg(long)]
    from: u64,
    /// The sequencer to go to.
    #[arg(long)]
    to: u64,
    /// Tokens.
    #[arg(long, value_parser = amount)]
    amount: u128,
    #[command(flatten)]
    format: Format,
}

/// `baton commission`.
#[derive(Args, Debug)]
pub struct Commission {
    #[command(flatten)]
    of: OfSequencer,
    /// Basis points of the sequencer's income.
    #[arg(long)]
    commission: u16,
}

/// `baton propose-owner`.
#[derive(Args, Debug)]
pub struct ProposeOwner {
    #[command(flatten)]
    of: OfSequencer,
    /// The next owner; the zero address takes an offer back.
    #[arg(long)]
    owner: Address,
}

/// `baton profile`.
#[derive(Args, Debug)]
pub struct Profile {
    #[command(flatten)]
    of: OfSequencer,
    /// At most 64 bytes.
    #[arg(long)]
    name: String,
    /// Your page, at most 256 bytes.
    #[arg(long, default_value = "")]
    url: String,
    /// keccak256 of a picture that your page leads to.
    #[arg(long, default_value_t)]
    logo_hash: B256,
}

/// `baton downtime`.
#[derive(Args, Debug)]
pub struct Downtime {
    #[command(flatten)]
    of: OfSequencer,
    /// First epoch.
    #[arg(long)]
    from: u64,
    /// First epoch after it.
    #[arg(long)]
    to: u64,
}

/// A verb about one sequencer.
#[derive(Args, Debug)]
pub struct OfSequencer {
    #[command(flatten)]
    sender: SenderFlags,
    /// The sequencer.
    #[arg(long)]
    id: u64,
    #[command(flatten)]
    format: Format,
}

/// Runs the verb.
///
/// # Errors
/// If L1 does not answer or a contract refuses, with its error by name.
pub async fn run(verb: OwnerVerb) -> Result<()> {
    let (done, format) = match verb {
        OwnerVerb::Switch(v) => (switch(&v).await?, v.format),
        OwnerVerb::Commission(v) => (commission(&v).await?, v.of.format),
        OwnerVerb::ProposeOwner(v) => (propose_owner(&v).await?, v.of.format),
        OwnerVerb::AcceptOwner(v) => (accept_owner(&v).await?, v.format),
        OwnerVerb::Profile(v) => (profile(&v).await?, v.of.format),
        OwnerVerb::Downtime(v) => (downtime(&v).await?, v.of.format),
        OwnerVerb::Leave(v) => (leave(&v).await?, v.format),
    };
    format.print(&done, Done::line)?;
    Ok(())
}

async fn switch(v: &Switch) -> Result<Done> {
    let s = v.sender.sender().await?;
    let staking = Staking::new(s.deployment.addresses.staking, &s.provider);
    let receipt = mined("switch", staking.switchSequencer(v.from, v.to, v.amount, 0).send().await).await?;
    let event = receipt.decoded_log::<Staking::Switched>().ok_or_else(|| eyre!("switch: no event in the receipt"))?;
    let until =
        humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + std::time::Duration::from_secs(event.readyAt));
    let tokens = ether(U256::from(v.amount));
    let what = format!(
        "moved {tokens} tokens from sequencer {} to {}; until {until} a slash of {0} still reaches them",
        v.from, v.to
    );
    Ok(Done::new(what, &receipt))
}

async fn commission(v: &Commission) -> Result<Done> {
    let s = v.of.sender.sender().await?;
    let staking = Staking::new(s.deployment.addresses.staking, &s.provider);
    let receipt = mined("commission", staking.setCommission(v.of.id, v.commission).send().await).await?;
    let event = receipt.decoded_log::<Staking::CommissionSet>();
    let event = event.ok_or_else(|| eyre!("commission: no event in the receipt"))?;
    let what = format!("sequencer {} takes {} basis points from snapshot {} on", v.of.id, v.commission, event.period);
    Ok(Done::new(what, &receipt))
}

async fn propose_owner(v: &ProposeOwner) -> Result<Done> {
    let s = v.of.sender.sender().await?;
    let staking = Staking::new(s.deployment.addresses.staking, &s.provider);
    let receipt = mined("propose-owner", staking.proposeOwner(v.of.id, v.owner).send().await).await?;
    let what = if v.owner == Address::ZERO {
        format!("sequencer {} is offered to nobody", v.of.id)
    } else {
        format!("sequencer {} is offered to {}; it accepts with: baton accept-owner --id {0}", v.of.id, v.owner)
    };
    Ok(Done::new(what, &receipt))
}

async fn accept_owner(v: &OfSequencer) -> Result<Done> {
    let s = v.sender.sender().await?;
    let staking = Staking::new(s.deployment.addresses.staking, &s.provider);
    let receipt = mined("accept-owner", staking.acceptOwner(v.id).send().await).await?;
    Ok(Done::new(format!("{} owns sequencer {}, its self-stake and its income", s.account, v.id), &receipt))
}

async fn profile(v: &Profile) -> Result<Done> {
    let s = v.of.sender.sender().await?;
    let profiles = Profiles::new(s.deployment.addresses.profiles, &s.provider);
    let profile = IProfiles::Profile { name: v.name.clone(), url: v.url.clone(), logoHash: v.logo_hash };
    let receipt = mined("profile", profiles.set(v.of.id, profile).send().await).await?;
    Ok(Done::new(format!("sequencer {} is called {:?}", v.of.id, v.name), &receipt))
}

async fn downtime(v: &Downtime) -> Result<Done> {
    let s = v.of.sender.sender().await?;
    let pool = SequencerPool::new(s.deployment.addresses.pool, &s.provider);
    let receipt = mined("downtime", pool.declareDowntime(v.of.id, v.from, v.to).send().await).await?;
    Ok(Done::new(format!("sequencer {} may be away in the epochs {} to {}", v.of.id, v.from, v.to - 1), &receipt))
}

async fn leave(v: &OfSequencer) -> Result<Done> {
    let s = v.sender.sender().await?;
    let pool = SequencerPool::new(s.deployment.addresses.pool, &s.provider);
    let receipt = mined("leave", pool.deactivate(v.id).send().await).await?;
    Ok(Done::new(format!("sequencer {} is in no snapshot from the next one on", v.id), &receipt))
}
