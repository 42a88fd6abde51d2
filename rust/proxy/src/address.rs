//! Where to listen and where to connect: `HOST:PORT`, `[IPV6]:PORT` or `unix:/path`.

use std::fmt;
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host (an IPv6 address without its brackets) and port.
    Tcp(String, u16),
    Unix(PathBuf),
}

// === impl Address ===

impl Address {
    /// `None` when the text is no address.
    pub fn parse(text: &str) -> Option<Address> {
        if let Some(path) = text.strip_prefix("unix:") {
            return path.starts_with('/').then(|| Address::Unix(path.into()));
        }
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']'))?;
        (!host.is_empty()).then_some(Address::Tcp(host.into(), port.parse().ok()?))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for text in ["127.0.0.1:9000", "[::1]:9000", "model.svc:8001", "unix:/run/model.sock"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "9000", ":9000", "host:", "host:65536", "[::1:9000", "unix:relative"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
