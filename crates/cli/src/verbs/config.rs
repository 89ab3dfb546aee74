//! `baton config show`: the settings in force and their sources.

use super::node::NodeFlags;
use crate::{
    output::{Format, Table},
    settings::Setting,
};
use clap::Args;
use eyre::Result;

/// The flags of `baton node`, and how to print.
#[derive(Args, Debug)]
pub struct Show {
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    format: Format,
}

/// Prints every setting, its value and its source, after the same checks as a start.
///
/// # Errors
/// If the settings would be refused.
pub fn show(show: &Show, settings: &[Setting]) -> Result<()> {
    show.node.config().validate()?;
    show.format.print(&settings, |settings| {
        let mut table = Table::new(["setting", "value", "from"]);
        for setting in *settings {
            table.row([setting.name.clone(), setting.values.join(", "), setting.source.to_string()]);
        }
        table.render()
    })?;
    Ok(())
}
