//! What the plane counts for itself: connections, refusals, and the ends that are nobody's answer.
//!
//! Calls, durations and sizes are the engine's to count.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// One number that only grows, or a gauge.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

// === impl Counter ===

impl Counter {
    pub fn add(&self) {
        self.add_many(1);
    }

    pub fn add_many(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub fn sub(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Each number is declared once, with its meaning; the snapshot has the same names.
macro_rules! counters {
    ($($(#[doc = $meaning:literal])* $name:ident,)*) => {
        /// Shared by all threads.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[doc = $meaning])* pub $name: Counter,)* }

        /// The numbers at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct CountersSnapshot { $($(#[doc = $meaning])* pub $name: u64,)* }

        impl Counters {
            pub fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Client connections since the start.
    connections_accepted,
    /// Client connections now.
    connections_open,
    /// Closed at once because `limits.connections` were open.
    connections_refused,
    /// The operating system could not hand over a connection.
    connections_failed,
    /// Did not begin to speak HTTP/2, or not within `limits.handshake`.
    handshakes_failed,
    /// Asked to go after `limits.idle` without a call.
    connections_idle,
    /// Ended because the client, asked to go, did not read what it was owed within `limits.stall`.
    connections_stalled,
    /// Ended because the peer went beyond a limit on what it may send; each has its own number as well.
    connections_abusive,
    /// ... `limits.pending_resets`: calls cancelled before they could be looked at.
    abusive_resets,
    /// ... `limits.faults`: calls broken by the peer's own mistakes.
    abusive_faults,
    /// ... `limits.metadata`: headers many times as large, or in more frames than that takes.
    abusive_headers,
    /// ... `limits.connection_window`: more small DATA frames than half of it holds, or 8 MiB, none of them taken yet.
    abusive_data,
    /// ... `limits.housekeeping`: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty DATA, unknown frames.
    abusive_housekeeping,
    /// Ended because the peer broke HTTP/2; a header block without end among the ways.
    connections_broken,
    /// Calls now.
    calls_open,
    /// Calls beyond `limits.concurrent_streams`, refused.
    calls_refused,
    /// Calls refused because more than `limits.memory` is held, and more than its share for this client.
    calls_refused_memory,
    /// Calls ended for the same reason, while their client or model server did not read.
    calls_shed,
    /// Calls ended because their client or model server did not read for `limits.stall`.
    calls_stalled,
    /// Calls whose headers broke HTTP/2 or were larger than `limits.metadata`: reset, or answered with 431.
    calls_malformed,
    /// Calls that the client reset, or whose client was lost.
    calls_reset_by_client,
    /// Those of them that were reset before they could be looked at.
    calls_reset_unseen,
    /// Times that an answer had to wait for its client to read.
    clients_waited_for,
    /// Times that a request had to wait for its model server to read.
    upstreams_waited_for,
    /// Calls that the model server reset.
    calls_reset_by_upstream,
    /// Calls answered with UNAVAILABLE because no connection to the model server could be made.
    calls_unreachable,
    /// Calls answered with UNAVAILABLE because the connection to the model server was lost.
    calls_lost,
    /// Calls whose deadline passed here.
    calls_expired,
    /// Connections made to model servers.
    upstream_connected,
    /// Attempts to connect that failed.
    upstream_failed,
    /// Connections to model servers that ended.
    upstream_lost,
    /// Messages longer than `limits.observed_message`, forwarded and not observed.
    messages_too_large,
}
