//! What the model server is told of a client in a header that the client could write as well.

use http::{HeaderMap, HeaderName, HeaderValue};

/// `x-forwarded-for`: the client's address.
pub const ADDRESS: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What becomes of one header on one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Forwarded {
    /// The header is one like any other.
    #[default]
    Untouched,
    /// There is nothing to tell: what the client says of itself is taken out.
    Stripped,
    /// This stands in the place of what the client says of itself.
    Set(HeaderValue),
}

// === impl Forwarded ===

impl Forwarded {
    /// The address of a client, as gRPC writes it (`ipv4:1.2.3.4:5`); a Unix socket has none.
    pub fn address(peer: &str) -> Forwarded {
        let host = peer.split_once(':').filter(|(family, _)| family.starts_with("ipv"));
        let host = host.and_then(|(_, address)| address.rsplit_once(':')).map(|(host, _)| host);
        let value = host.and_then(|host| HeaderValue::try_from(host.trim_matches(['[', ']'])).ok());
        value.map_or(Forwarded::Stripped, Forwarded::Set)
    }

    pub fn apply(&self, name: HeaderName, headers: &mut HeaderMap) {
        match self {
            Forwarded::Untouched => {}
            Forwarded::Stripped => {
                headers.remove(name);
            }
            Forwarded::Set(value) => {
                headers.insert(name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_says_of_itself_never_goes_on() {
        let mut headers = HeaderMap::new();
        headers.append(ADDRESS, HeaderValue::from_static("6.6.6.6"));
        headers.append(ADDRESS, HeaderValue::from_static("7.7.7.7"));
        Forwarded::Untouched.apply(ADDRESS, &mut headers);
        assert_eq!(headers.len(), 2);
        Forwarded::address("ipv4:1.2.3.4:5").apply(ADDRESS, &mut headers);
        assert_eq!(headers.get_all(ADDRESS).iter().collect::<Vec<_>>(), ["1.2.3.4"]);
        Forwarded::address("unix:").apply(ADDRESS, &mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn an_address_has_neither_port_nor_brackets() {
        assert_eq!(
            Forwarded::address("ipv6:[2001:db8::1]:50"),
            Forwarded::Set("2001:db8::1".parse().unwrap())
        );
    }
}
