//! The native data plane: HTTP/2 in, HTTP/2 out, bytes forwarded as they came.
//!
//! It exists so that a client cannot tell the sidecar from the model server. Threads of its own, one single-threaded
//! runtime each; a call stays on the thread that accepted it, on both sides. Nothing here decodes a message in order
//! to forward it and nothing calls back into Python: decisions are the engine's, messages are handed to the observer
//! after they have been forwarded, kept calls wait in a bounded queue.
#![forbid(unsafe_code)]

mod address;
mod alias;
mod buffers;
mod call;
mod clock;
mod config;
mod counters;
mod deadline;
mod exchange;
mod failure;
mod forwarded;
mod frames;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod gathered;
mod headers;
mod hpack;
mod inbox;
mod kept;
mod link;
mod listener;
mod memory;
mod message;
mod outbox;
mod plane;
mod pool;
mod pump;
mod record;
mod seed;
mod session;
mod shadow;
mod socket;
mod splitter;
mod status;
mod stream;
mod tls;
mod upstreams;
mod window;
mod worker;

pub use config::{ConfigurationError, Limits, PlaneConfig};
pub use counters::CountersSnapshot;
pub use kept::KeptCall;
pub use message::Message;
pub use plane::{Plane, StartError};
pub use pool::Reachability;
pub use tls::{
    CertificateConfig, CertificateError, CertificateState, Certificates, Contents, News,
    forwarded_client_certificate,
};
