//! Reading messages, seen from outside the crate.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing to unwrap has failed")]

mod any_bytes;
mod encoder;
mod infer;
mod stream;
