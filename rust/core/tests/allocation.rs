//! Watching costs no allocation per call once everything has been seen: the observer must keep up for days.

use pilotfish_core::monitor::{Monitor, MonitorConfig};
use pilotfish_core::tensor::{Data, Datatype, Direction, Tensor};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    /// Allocations of this thread.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, which is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A message's worth of table, scores and strings.
fn observe(monitor: &mut Monitor, tensors: &[Tensor<'_>]) {
    let (inputs, outputs) = tensors.split_at(2);
    monitor.observe(Direction::Input, inputs, 0);
    monitor.observe(Direction::Output, outputs, 0);
}

#[test]
fn a_call_in_the_steady_state_allocates_nothing() {
    let numbers: Vec<u8> = (0..64u32).flat_map(|i| (i as f32 * 0.37).to_le_bytes()).collect();
    let tensor = |name, shape, data| Tensor::new(name, Datatype::Fp32, shape, data).unwrap();
    let strings = Data::Bytes(vec![&b"red"[..], b"", b"blue", b"unheard of"]);
    let tensors = [
        tensor("x", vec![4, 16], Data::Raw(&numbers)),
        Tensor::new("colour", Datatype::Bytes, vec![4], strings).unwrap(),
        tensor("scores", vec![4, 3], Data::Raw(&numbers[..48])),
    ];
    let config = MonitorConfig { learn_rows: 400, pane_rows: 10, ..MonitorConfig::default() };
    let mut monitor = Monitor::new(Arc::new(config), None);
    (0..3_000).for_each(|_| observe(&mut monitor, &tensors));
    let allocates = |monitor: &mut Monitor| {
        let before = COUNT.with(Cell::get);
        observe(monitor, &tensors);
        COUNT.with(Cell::get) > before
    };
    let allocating = (0..400).filter(|_| allocates(&mut monitor)).count();
    assert!(monitor.snapshot(false).panes >= 1_000, "panes were closed meanwhile");
    // Rows that waited are weighed once in thousands, which takes a place in a history until that holds a thousand panes.
    assert!(allocating <= 4, "{allocating} of 400 calls");
}
