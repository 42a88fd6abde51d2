//! What the plane is told at its start: addresses, limits and what of a call is wanted afterwards.

use std::fmt;
use std::time::Duration;

use pilotfish_core::call::Nanos;
use pilotfish_core::engine::QueueConfig;
use serde::Deserialize;

/// The configuration of one plane, as JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaneConfig {
    pub listen: String,
    /// Runtimes, each with its own listener, connections and calls.
    #[serde(default = "one")]
    pub threads: usize,
    /// The caller's monotonic clock, now.
    pub now_ns: Nanos,
    /// Paths known to have one request and one response: they are observed as a whole, kept and shadowed.
    #[serde(default)]
    pub unary_methods: Vec<String>,
    /// Names of the metadata that a kept call carries.
    #[serde(default)]
    pub metadata: Vec<String>,
    /// Whether kept calls carry their messages.
    #[serde(default)]
    pub payloads: bool,
    /// Whether the model server is told the client's address.
    #[serde(default)]
    pub forward_client_address: bool,
    /// Kept calls that may wait to be fetched; 0 when nobody fetches them: each is then settled when it has ended.
    #[serde(default = "kept")]
    pub kept: usize,
    /// Bounds of the queue to the observer.
    pub queue: QueueConfig,
    #[serde(default)]
    pub limits: Limits,
}

/// What a stranger may ask for. Sizes in bytes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls at a time on one connection.
    pub concurrent_streams: u32,
    /// Metadata of one call, either direction.
    pub metadata: u32,
    /// Client connections at a time, on each thread.
    pub connections: usize,
    /// Calls on one connection that were cancelled before they could be looked at; more end the connection
    /// (rapid reset, CVE-2023-44487).
    pub pending_resets: usize,
    /// Calls that one connection may break by its own mistakes during its life (CVE-2025-8671).
    pub faults: usize,
    /// Frames of one connection that belong to no call, beyond what calls and time give reason for; more end it.
    pub housekeeping: u64,
    /// From the TCP connection to the end of HTTP/2's preface.
    pub handshake_ns: Nanos,
    /// A connection without calls is asked to go after this.
    pub idle_ns: Nanos,
    /// How long connecting to a model server may take.
    pub connect_ns: Nanos,
    /// Bytes a peer may send on one call before they are passed on.
    pub stream_window: u32,
    /// The same for all calls of a connection; one that stands still is lent its own.
    pub connection_window: u32,
    /// Bytes held for peers that do not take them, of all connections together.
    pub memory: usize,
    /// How long a call is waited for whose client, or model server, does not read.
    pub stall_ns: Nanos,
    /// Largest frame accepted.
    pub frame: u32,
    /// Connections to one model server from each thread. Up to so many client connections have one for themselves.
    pub upstream_connections: usize,
    /// Longest message that is observed or kept; longer ones are only forwarded.
    pub observed_message: usize,
}

/// A configuration that cannot be used; the message names the value and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationError(pub String);

fn one() -> usize {
    1
}

fn kept() -> usize {
    1024
}

// === impl PlaneConfig ===

impl PlaneConfig {
    /// # Errors
    /// Text that is not JSON of this shape, or a value out of range.
    pub fn from_json(text: &str) -> Result<PlaneConfig, ConfigurationError> {
        let config: PlaneConfig =
            serde_json::from_str(text).map_err(|error| ConfigurationError(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigurationError> {
        let refuse = |message: String| Err(ConfigurationError(message));
        if !(1..=256).contains(&self.threads) {
            return refuse(format!("{} threads: give 1 to 256", self.threads));
        }
        self.limits.check()
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Limits {
        let seconds = |seconds: u64| seconds * 1_000_000_000;
        Limits {
            concurrent_streams: 1024,
            metadata: 1 << 20,
            connections: 10_000,
            pending_resets: 4096,
            faults: 65_536,
            housekeeping: 10_000,
            handshake_ns: seconds(10),
            idle_ns: seconds(3600),
            connect_ns: seconds(5),
            stream_window: 1 << 20,
            connection_window: 16 << 20,
            memory: 256 << 20,
            stall_ns: seconds(3600),
            frame: 16 << 10,
            upstream_connections: 64,
            observed_message: 64 << 20,
        }
    }
}

impl Limits {
    pub fn handshake(&self) -> Duration {
        Duration::from_nanos(self.handshake_ns)
    }

    pub fn idle(&self) -> Duration {
        Duration::from_nanos(self.idle_ns)
    }

    pub fn stall(&self) -> Duration {
        Duration::from_nanos(self.stall_ns)
    }

    pub fn connect(&self) -> Duration {
        Duration::from_nanos(self.connect_ns)
    }

    /// The ranges are those of RFC 9113, section 6.5.2: the HTTP/2 library panics outside them.
    fn check(&self) -> Result<(), ConfigurationError> {
        let within = |name: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(ConfigurationError(format!("limits.{name} is {value}: give {least} to {most}")))
        };
        within("stream_window", self.stream_window, 65_535, (1 << 31) - 1)?;
        within("connection_window", self.connection_window, 65_535, (1 << 31) - 1)?;
        within("frame", self.frame, 16_384, (1 << 24) - 1)?;
        within("metadata", self.metadata, 8192, (1 << 24) - 1)?;
        within("concurrent_streams", self.concurrent_streams, 1, (1 << 31) - 1)?;
        if self.connections == 0 || self.upstream_connections == 0 {
            return Err(ConfigurationError(
                "limits.connections and limits.upstream_connections must be 1 or more".into(),
            ));
        }
        Ok(())
    }
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigurationError {}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"listen": "127.0.0.1:0", "now_ns": 1, "queue": {"messages": 1, "bytes": 1}}"#;

    #[test]
    fn the_shortest_configuration_has_sound_defaults() {
        let config = PlaneConfig::from_json(CONFIG).unwrap();
        assert_eq!((config.threads, config.limits.concurrent_streams), (1, 1024));
    }

    #[test]
    fn a_window_the_library_would_panic_on_is_refused() {
        let text = CONFIG.replace("\"queue\"", "\"limits\": {\"frame\": 1}, \"queue\"");
        let error = PlaneConfig::from_json(&text).unwrap_err();
        assert!(error.0.contains("limits.frame is 1"), "{error}");
    }
}
