//! What the core refuses: configurations that cannot be used. Traffic is never refused.

use std::fmt;

/// A configuration that cannot be used. The message names the value and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationError(pub String);

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigurationError {}

impl From<serde_json::Error> for ConfigurationError {
    fn from(error: serde_json::Error) -> Self {
        ConfigurationError(format!("the engine's configuration is not readable: {error}"))
    }
}
