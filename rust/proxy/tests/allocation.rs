//! What a call costs in heap allocations once everything has been seen: recorded, so that it cannot grow unnoticed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod stand;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use stand::*;

/// Allocations per unary call on the plane's threads, most of them the HTTP/2 library's on its two sides.
const MOST: u64 = 14;

const WARM_UP: u64 = 500;
const CALLS: u64 = 1000;

/// Of all threads but the test's own, where the client and the backend are.
static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(true) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED.try_with(Cell::get).unwrap_or(false) {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
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

#[tokio::test]
async fn a_unary_call_in_the_steady_state_allocates_no_more_than_it_did() {
    COUNTED.set(false);
    let upstream = backend(echo).await;
    let stand = Stand::before(&upstream, "");
    let sender = client(&stand.address).await;
    let mut before = 0;
    for call in 0..WARM_UP + CALLS {
        if call == WARM_UP {
            before = COUNT.load(Ordering::SeqCst);
        }
        assert_eq!(unary(&sender, request("/test.Any/Unary"), &[7; 4096]).await.unwrap().status(), "0");
    }
    until(|| stand.plane.counters().calls_open == 0).await;
    let allocations = COUNT.load(Ordering::SeqCst) - before;
    let per_call = allocations.div_ceil(CALLS);
    assert!(
        per_call <= MOST,
        "{per_call} allocations per call: more than {MOST}; find out where they come from"
    );
}
