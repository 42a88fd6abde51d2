//! Another name for an authority that the HTTP/2 library does not take: it knows only what may stand in a URI and resets
//! the call, though clients write a list of addresses there (`10.0.0.1:8001,10.0.0.2:8001`) and gRPC servers read it.
//!
//! Before the library reads the header block, the authority in it is written over with an alias; when the library has
//! written the alias towards the model server, the alias is written over with the authority. Both take the same room,
//! decoded and encoded, so that lengths and the peers' tables stay right. An alias is drawn at random: nobody who could
//! write it into a message knows it.

use std::sync::Arc;

use http::uri::{Authority, Uri};

use crate::hpack::{self, Table, huffman};
use crate::seed::Seeds;

/// Names that one client may have an alias for.
const MOST: usize = 8;

/// Shorter ones have too few aliases to draw from.
const SHORTEST: usize = 8;

/// How the library introduces an authority it has not sent before: to be remembered, by the name's static index.
const INTRODUCED: u8 = 0x41;

/// How it writes one that the model server cannot remember: it has no table, or a smaller one.
const MENTIONED: u8 = 0x01;

#[derive(Debug)]
pub struct Alias {
    alias: Authority,
    /// What the library writes.
    sent: Vec<u8>,
    /// What the client wrote.
    meant: Vec<u8>,
}

/// Of one client.
#[derive(Debug)]
pub struct Aliases {
    known: Vec<Arc<Alias>>,
    table: Table,
    seeds: Seeds,
}

/// On one connection to a model server.
#[derive(Debug, Default)]
pub struct Lifted(Vec<Arc<Alias>>);

// === impl Alias ===

impl Alias {
    /// `None` for one that needs none, or that nothing can stand for.
    fn draw(coded: bool, meant: &[u8], seeds: &mut Seeds) -> Option<Alias> {
        let text = if coded { huffman::decode(meant)? } else { meant.to_vec() };
        let printable = text.iter().all(u8::is_ascii_graphic);
        if text.len() < SHORTEST || !printable || Authority::try_from(&text[..]).is_ok() {
            return None;
        }
        // An authority that was not coded takes as much room as a coded one whose symbols have eight bits each.
        let bits = if coded { text.iter().map(|symbol| huffman::bits(*symbol)).sum() } else { None };
        let alias = random(text.len(), bits.unwrap_or(8 * u32::try_from(text.len()).ok()?), seeds)?;
        let sent = hpack::written(true, &huffman::encode(&alias)?);
        let meant = hpack::written(coded, meant);
        let alias = Authority::try_from(&alias[..]).ok()?;
        (sent.len() == meant.len()).then_some(Alias { alias, sent, meant })
    }
}

/// So many symbols that have so many bits together.
fn random(length: usize, bits: u32, seeds: &mut Seeds) -> Option<Vec<u8>> {
    const WIDEST: u32 = 3;
    let mut more = bits.checked_sub(5 * u32::try_from(length).ok()?)?;
    let mut text = Vec::with_capacity(length);
    for left in (0..u32::try_from(length).ok()?).rev() {
        // `~` has eight bits more than the shortest; nothing that may stand in an authority is between.
        if more > WIDEST * (left + 1) {
            more = more.checked_sub(8)?;
            text.push(b'~');
            continue;
        }
        let least = more.saturating_sub(WIDEST * left);
        let span = more.min(WIDEST) - least + 1;
        let extra = least + pick(span, seeds);
        let symbols: &[u8] = match extra {
            0 => b"012aceiost",
            1 => b"-.3456789=A_bdfghlmnpru",
            2 => b"BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
            _ => b"&*,;XZ",
        };
        more -= extra;
        text.push(symbols[pick(u32::try_from(symbols.len()).ok()?, seeds) as usize]);
    }
    (more == 0).then_some(text)
}

fn is_beginning(byte: &u8) -> bool {
    matches!(*byte, INTRODUCED | MENTIONED)
}

fn pick(among: u32, seeds: &mut Seeds) -> u32 {
    (((seeds.draw() >> 32) * u64::from(among)) >> 32) as u32
}

// === impl Aliases ===

impl Aliases {
    pub fn new(seeds: Seeds) -> Aliases {
        Aliases { known: Vec::new(), table: Table::default(), seeds }
    }

    /// Writes an alias over the authority in the next header block, if it needs one. Of a block that is not `whole` this
    /// is the beginning.
    pub fn cover(&mut self, block: &mut [u8], whole: bool) {
        let Some(literal) = self.table.read(block, whole) else { return };
        let Some(value) = block.get_mut(literal.place) else { return };
        let Some(alias) = self.of_value(literal.coded, value) else { return };
        if literal.coded {
            let coded = &alias.sent[alias.sent.len() - value.len()..];
            value.copy_from_slice(coded);
        } else {
            value.copy_from_slice(alias.alias.as_str().as_bytes());
        }
    }

    fn of_value(&mut self, coded: bool, value: &[u8]) -> Option<Arc<Alias>> {
        let meant = hpack::written(coded, value);
        if let Some(known) = self.known.iter().find(|known| known.meant == meant) {
            return Some(Arc::clone(known));
        }
        if self.known.len() >= MOST {
            return None;
        }
        let alias = Arc::new(Alias::draw(coded, value, &mut self.seeds)?);
        self.known.push(Arc::clone(&alias));
        Some(alias)
    }

    /// The alias that the library was given as a call's authority.
    pub fn of(&self, uri: &Uri) -> Option<Arc<Alias>> {
        if self.known.is_empty() {
            return None;
        }
        let authority = uri.authority()?.as_str();
        self.known.iter().find(|known| known.alias.as_str() == authority).cloned()
    }
}

// === impl Lifted ===

impl Lifted {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This one will be written from now on. Those of clients that have gone are forgotten: the model server's table
    /// holds what was meant, and nobody will begin a call with them.
    pub fn add(&mut self, alias: &Arc<Alias>) {
        if self.0.iter().any(|known| Arc::ptr_eq(known, alias)) {
            return;
        }
        self.0.retain(|known| Arc::strong_count(known) > 1);
        self.0.push(Arc::clone(alias));
    }

    /// Writes what is meant over the aliases in what the library has written.
    pub fn lift(&self, written: &mut [u8]) {
        for alias in &self.0 {
            let length = alias.sent.len();
            let mut from = 0;
            while let Some(found) = written[from..].iter().position(is_beginning) {
                let start = from + found + 1;
                from = start;
                if let Some(value) = written.get_mut(start..start + length)
                    && value == alias.sent
                {
                    value.copy_from_slice(&alias.meant);
                    from = start + length;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn aliases() -> Aliases {
        Aliases::new(Seeds::from_system())
    }

    fn block(coded: bool, authority: &str) -> Vec<u8> {
        let bytes = if coded { huffman::encode(authority.as_bytes()).unwrap() } else { authority.into() };
        [b"\x83\x86\x44\x02/x\x41", &hpack::written(coded, &bytes)[..], b"\x40\x02te\x08trailers"].concat()
    }

    /// What the library reads, and what the model server then reads.
    fn passed(aliases: &mut Aliases, block: &[u8]) -> (Vec<u8>, Vec<u8>) {
        passed_as(INTRODUCED, aliases, block)
    }

    fn passed_as(written: u8, aliases: &mut Aliases, block: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut read = block.to_vec();
        aliases.cover(&mut read, true);
        let literal = Table::default().read(&read, true).unwrap();
        let value = &read[literal.place];
        let text = if literal.coded { huffman::decode(value).unwrap() } else { value.to_vec() };
        let uri = Uri::builder().scheme("http").authority(&text[..]).path_and_query("/").build().unwrap();
        let mut sent = [&[written][..], &hpack::written(true, &huffman::encode(&text).unwrap())].concat();
        let mut lifted = Lifted::default();
        if let Some(alias) = aliases.of(&uri) {
            lifted.add(&alias);
        }
        lifted.lift(&mut sent);
        (text, sent)
    }

    #[test]
    fn an_authority_of_a_uri_needs_no_alias() {
        for authority in ["model.example:8001", "[::1]:8001", "user@host", "a,b"] {
            let (read, _) = passed(&mut aliases(), &block(true, authority));
            assert_eq!(read, authority.as_bytes());
        }
    }

    #[test]
    fn a_model_server_without_a_table_reads_what_the_client_wrote_too() {
        let authority = "10.0.0.1:8001,10.0.0.2:8001";
        let (_, sent) = passed_as(MENTIONED, &mut aliases(), &block(false, authority));
        let literal = Table::default().read(&sent, true).unwrap();
        assert_eq!((literal.coded, &sent[literal.place]), (false, authority.as_bytes()));
    }

    #[test]
    fn one_client_has_not_more_than_a_few() {
        let mut aliases = self::aliases();
        for number in 0..20 {
            let mut block = block(true, &format!("10.0.0.1:80,10.0.0.2:{number}"));
            aliases.cover(&mut block, true);
        }
        assert_eq!(aliases.known.len(), MOST);
    }

    #[test]
    fn those_of_clients_that_have_gone_are_forgotten() {
        let mut lifted = Lifted::default();
        for _ in 0..20 {
            let mut aliases = self::aliases();
            aliases.cover(&mut block(false, "10.0.0.1:80,10.0.0.2:80"), true);
            lifted.add(&aliases.known[0]);
        }
        assert!(lifted.0.len() <= 2);
    }

    proptest! {
        #[test]
        fn the_model_server_reads_what_the_client_wrote(
            hosts in prop::collection::vec("([a-z]{1,9}|\\[::[0-9a-f]{1,4}\\]|[0-9.]{4,12}|%2Ftmp%2F[a-z]+):[0-9]{2,5}", 2..12),
            coded in any::<bool>(),
        ) {
            let authority = hosts.join(",");
            let mut aliases = self::aliases();
            let (read, sent) = passed(&mut aliases, &block(coded, &authority));
            prop_assert_eq!(read.len(), authority.len());
            prop_assert!(Authority::try_from(&read[..]).is_ok(), "{:?}", String::from_utf8_lossy(&read));
            let literal = Table::default().read(&sent, true).unwrap();
            let value = &sent[literal.place];
            let text = if literal.coded { huffman::decode(value).unwrap() } else { value.to_vec() };
            prop_assert_eq!(String::from_utf8(text).unwrap(), authority);
            // The next call has the same alias.
            prop_assert_eq!(passed(&mut aliases, &block(coded, &hosts.join(","))), (read, sent));
        }
    }
}
