//! What a feature takes in memory when all its windows are full, counted byte by byte at the allocator.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test of one number, which it prints")]

mod owners;

use pilotfish_core::monitor::{Monitor, MonitorConfig};
use pilotfish_core::profile::{Profile, ProfileBuilder};
use pilotfish_core::tensor::{Data, Datatype, Direction, Tensor};
use pilotfish_core::window::cascade::Horizon;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that are allocated and not yet freed.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        let pointer = unsafe { System.alloc(layout) };
        owners::allocated(pointer as usize, layout.size());
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        owners::freed(pointer as usize);
        // SAFETY: the pointer came from `alloc` above, which is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FEATURES: usize = 48;
const ROWS: usize = 600;
const MINUTE: u64 = 60_000_000_000;

/// SplitMix64, to values that look like measurements.
fn values(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..count).map(|_| uniform() + uniform() + uniform()).collect()
}

/// References that are alike, as those of features without ties are; or, with rows that were repeated, all different.
fn profile(bins: u16, alike: bool) -> Arc<Profile> {
    let mut builder = ProfileBuilder::new("m", bins);
    for feature in 0..FEATURES {
        let mut column = values(7 + feature as u64, 2_000);
        if !alike {
            let repeated = values(feature as u64, 500);
            column.iter_mut().zip(&repeated).for_each(|(value, other)| *value = (other * 9.0).round() / 9.0);
        }
        builder.add_column_f64(&format!("x[{feature}]"), Direction::Input, &column).unwrap();
    }
    Arc::new(builder.finish().unwrap())
}

/// Bytes per feature of a monitor whose windows of minutes, hours and days are all full.
fn bytes_per_feature(config: MonitorConfig, alike: bool) -> usize {
    let before = LIVE.load(Ordering::Relaxed);
    let monitor = filled(config, alike);
    let after = LIVE.load(Ordering::Relaxed);
    assert_eq!(monitor.snapshot(false).features.len(), FEATURES);
    (after - before) / FEATURES
}

/// A monitor of its own profile: the reference is part of what a feature takes.
fn filled(config: MonitorConfig, alike: bool) -> Monitor {
    let profile = Profile::from_bytes(&profile(config.bins, alike).to_bytes()).unwrap().watched();
    let mut monitor = Monitor::new(Arc::new(config), Some(Arc::new(profile)));
    let bytes: Vec<u8> = values(1, ROWS * FEATURES).iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor = Tensor::new("x", Datatype::Fp64, vec![ROWS, FEATURES], Data::Raw(&bytes)).unwrap();
    let (days, hours) = ((0..31).map(|day| day * 1_440), (0..25).map(|hour| 31 * 1_440 + hour * 60));
    let minutes = (0..62).map(|minute| 33 * 1_440 + minute);
    for minute in days.chain(hours).chain(minutes) {
        monitor.observe(Direction::Input, std::slice::from_ref(&tensor), minute * MINUTE);
    }
    // As by whoever is told of alarms.
    drop(monitor.take_events());
    monitor
}

const KIB: usize = 1_024;

/// The bounds hold whether or not references are alike.
#[test]
fn a_feature_stays_within_its_memory() {
    let of = |windows, bins, alike| {
        let config = MonitorConfig { pane_rows: 60, windows, bins, ..MonitorConfig::default() };
        bytes_per_feature(config, alike)
    };
    for alike in [true, false] {
        let [off, lean, full] = [Horizon::Off, Horizon::Lean, Horizon::Full].map(|it| of(it, 32, alike));
        let [few, many] = [of(Horizon::Lean, 16, alike), of(Horizon::Full, 64, alike)];
        println!("bytes per feature, references alike: {alike}");
        println!(
            "  32 bins: {off} without windows, {lean} lean, {full} full; 16 bins lean: {few}, 64 full: {many}"
        );
        assert!(many <= 60 * KIB, "{many} bytes per feature of 64 bins with all windows full");
        assert!(full <= 35 * KIB, "{full} bytes per feature of 32 bins with all windows full");
        assert!(lean <= 16 * KIB, "{lean} bytes per feature with counts of a day and a month");
        assert!(few <= 12 * KIB, "{few} bytes per feature of 16 bins with counts of a day and a month");
        assert!(full - off <= 21 * KIB, "{} bytes for 114 slices", full - off);
        assert!(lean - off <= 2 * KIB, "{} bytes for 54 slices of counts", lean - off);
        let told = told(Horizon::Lean, 32, alike);
        assert!(told.abs_diff(lean) <= lean / 100, "{told} of {lean} bytes have an owner");
    }
}

/// Bytes per feature, by who keeps them, which is printed.
fn told(windows: Horizon, bins: u16, alike: bool) -> usize {
    let config = MonitorConfig { pane_rows: 60, windows, bins, ..MonitorConfig::default() };
    let mut kept: Vec<_> = owners::of(|| filled(config, alike)).into_iter().collect();
    kept.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    println!("  {windows:?}, {bins} bins, by owner:");
    kept.iter().for_each(|(owner, bytes)| println!("{:>8} {owner}", bytes / FEATURES));
    kept.iter().map(|(_, bytes)| bytes).sum::<usize>() / FEATURES
}
