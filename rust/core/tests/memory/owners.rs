//! Who keeps the bytes: every allocation that is still alive is told by the functions that asked for it.

use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What is alive, by its address: how many bytes, and who asked for it.
static KEPT: Mutex<BTreeMap<usize, (usize, Backtrace)>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// Whether allocations of this thread are told apart; what that itself allocates is not.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

pub fn allocated(address: usize, bytes: usize) {
    quietly(|| drop(KEPT.lock().unwrap().insert(address, (bytes, Backtrace::force_capture()))));
}

pub fn freed(address: usize) {
    quietly(|| drop(KEPT.lock().unwrap().remove(&address)));
}

/// Unless nobody asked.
fn quietly(note: impl FnOnce()) {
    if TELLS.try_with(|tells| tells.replace(false)).unwrap_or(false) {
        note();
        TELLS.with(|tells| tells.set(true));
    }
}

/// Tells apart what `make` allocates: bytes that it still keeps, by the places in this crate that asked for them.
pub fn of<T>(make: impl FnOnce() -> T) -> BTreeMap<String, usize> {
    TELLS.with(|tells| tells.set(true));
    let kept = make();
    TELLS.with(|tells| tells.set(false));
    let mut owners = BTreeMap::new();
    for (bytes, trace) in std::mem::take(&mut *KEPT.lock().unwrap()).into_values() {
        *owners.entry(places(&trace.to_string())).or_default() += bytes;
    }
    drop(kept);
    owners
}

/// The innermost three, as file and line.
fn places(trace: &str) -> String {
    let ours = trace.lines().filter_map(|line| line.trim().strip_prefix("at ./src/"));
    let file_and_line = ours.map(|place| place.rsplit_once(':').map_or(place, |(place, _)| place));
    file_and_line.take(3).collect::<Vec<_>>().join(" < ")
}
