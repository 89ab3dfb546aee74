//! What verbs print: aligned tables for people, JSON with `--json`.

use clap::Args;
use serde::Serialize;

/// The switch that every verb with data has.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Format {
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

impl Format {
    /// Prints `value` as JSON, or the text that `text` makes of it.
    ///
    /// # Errors
    /// If the value does not serialize.
    pub fn print<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> serde_json::Result<()> {
        if self.json {
            out(&serde_json::to_string_pretty(value)?);
        } else {
            out(text(value).trim_end());
        }
        Ok(())
    }
}

/// Writes a line to standard output. A closed pipe ends the output, not the program.
#[allow(clippy::print_stdout)]
pub fn out(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Writes a line to standard error.
pub fn err(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Rows under a header, columns aligned.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names.
    pub fn new<const N: usize>(header: [&str; N]) -> Self {
        Self { rows: vec![header.iter().map(ToString::to_string).collect()] }
    }

    /// A table without a header.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The text, one line a row.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| self.rows.iter().filter_map(|r| r.get(c)).map(|t| t.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Wei, or token wei, as a decimal of 18 digits without trailing zeros.
pub fn ether(wei: alloy::primitives::U256) -> String {
    let text = alloy::primitives::utils::format_ether(wei);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() { "0".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::U256;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["name", "value"]);
        table.row(["a longer name".into(), "1".into()]);
        assert_eq!(table.render(), "name           value\na longer name  1");
    }

    #[test]
    fn amounts_have_no_trailing_zeros() {
        assert_eq!(ether(U256::from(1_500_000_000_000_000_000u128)), "1.5");
        assert_eq!(ether(U256::ZERO), "0");
    }
}
