//! Where the engine's own time measurements go, and what the operating system says of this process.

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

static TIMES: OnceLock<Times> = OnceLock::new();

/// What every histogram of the process recorded.
#[derive(Clone, Debug, Default)]
struct Times(Arc<Mutex<HashMap<String, Vec<f64>>>>);

struct One(Times, String);

impl HistogramFn for One {
    fn record(&self, value: f64) {
        self.0.0.lock().entry(self.1.clone()).or_default().push(value);
    }
}

impl Recorder for Times {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(One(self.clone(), key.name().to_owned())))
    }
}

/// Records from now on.
pub(crate) fn install() {
    // It fails if something records already, which nothing does here.
    let _ = metrics::set_global_recorder(TIMES.get_or_init(Times::default).clone());
}

/// What was recorded under this name since the last call, ascending.
pub(crate) fn take(name: &str) -> Vec<f64> {
    let times = TIMES.get_or_init(Times::default);
    let mut taken = times.0.lock().remove(name).unwrap_or_default();
    taken.sort_unstable_by(f64::total_cmp);
    taken
}

/// The value below which `percent` of the sorted values are, in ms.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    sorted[(last * percent).div_ceil(100)] * 1_000.0
}

/// Resident memory of this process, MB: now, and at most so far.
pub(crate) fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1_000
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Processor time of this process, all its threads, seconds. Other processes do not change it much, so it compares where time does not.
pub(crate) fn cpu() -> f64 {
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th fields after it, in 1/100 s.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Bytes that this process has written to disk so far.
pub(crate) fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// Bytes that the files of a directory take on disk.
pub(crate) fn disk(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum()
}

/// Seconds with a fraction.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
