//! What the engine's work costs.
//!
//! Without a verb: one criterion benchmark a stage (`just bench-stages`). With one, Markdown tables of whole blocks:
//! `cargo bench --workspace --bench engine -- block | mix | memory | tokens | logs | restart | growth`.
#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]
#![allow(clippy::print_stdout, reason = "tables go to standard output")]
#![allow(missing_docs, reason = "nobody calls it")]

mod bare;
mod probe;
mod scale;
mod stages;
mod world;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let numbers: Vec<u64> =
        arguments.iter().skip(1).filter_map(|number| number.replace('_', "").parse().ok()).collect();
    let number = |index: usize, default: u64| numbers.get(index).copied().unwrap_or(default);
    match arguments.first().map(String::as_str) {
        Some("block") if numbers.is_empty() => scale::block(&[1_000_000]),
        Some("block") => scale::block(&numbers),
        Some("mix") => scale::mix(number(0, 100_000), number(1, 20)),
        Some("memory") => scale::memory(number(0, 1_000_000), number(1, 1_000_000), false),
        Some("tokens") => scale::memory(number(0, 100_000), number(1, 200_000), true),
        Some("logs") => scale::logs(number(0, 100_000)),
        Some("restart") => scale::restart(number(0, 100_000)),
        Some("growth") => scale::growth(),
        _ => stages::run(),
    }
}
