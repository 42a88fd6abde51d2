//! `grpc-timeout`: read when a call arrives, written anew with what remains when it is forwarded.
//!
//! At most eight digits and a unit (gRPC over HTTP/2, "Timeout"). What remains is rounded down, so that no hop ever
//! has more time than its client gave.

use std::time::Duration;

use http::HeaderValue;

const MOST_DIGITS: usize = 8;

/// Units from fine to coarse, with their nanoseconds.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// The time a `grpc-timeout` gives; `None` when it is malformed.
pub fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0u64, |count, digit| count * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'n' => Duration::from_nanos(count),
        b'u' => Duration::from_micros(count),
        b'm' => Duration::from_millis(count),
        b'S' => Duration::from_secs(count),
        b'M' => Duration::from_secs(count * 60),
        b'H' => Duration::from_secs(count * 3600),
        _ => return None,
    })
}

/// The same as a header, in the finest unit whose digits suffice.
pub fn format(left: Duration) -> HeaderValue {
    let nanos = left.as_nanos();
    let (unit, count) = UNITS
        .into_iter()
        .map(|(unit, size)| (unit, nanos / size))
        .find(|(_, count)| *count < 100_000_000)
        .unwrap_or((b'H', 99_999_999));
    let mut text = [0; MOST_DIGITS + 1];
    let (mut at, mut rest) = (MOST_DIGITS, count);
    text[MOST_DIGITS] = unit;
    loop {
        at -= 1;
        text[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 || at == 0 {
            break;
        }
    }
    HeaderValue::from_bytes(&text[at..]).expect("digits and a letter are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_unit_is_read() {
        assert_eq!(parse(b"1S"), Some(Duration::from_secs(1)));
        assert_eq!(parse(b"250000u"), Some(Duration::from_millis(250)));
        assert_eq!(parse(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
    }

    #[test]
    fn what_is_malformed_has_no_time() {
        for value in ["", "S", "1", "1s", "-1S", "123456789n", "1 S"] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn nothing_left_is_written_as_nothing() {
        assert_eq!(format(Duration::ZERO), "0n");
        assert_eq!(format(Duration::from_secs(1)), "1000000u");
    }

    proptest! {
        #[test]
        fn what_is_written_never_grows_and_loses_little(nanos in 0u64..u64::MAX) {
            let left = Duration::from_nanos(nanos);
            let read = parse(format(left).as_bytes()).unwrap();
            prop_assert!(read <= left);
            prop_assert!((left - read).as_secs_f64() <= left.as_secs_f64() * 1e-5);
        }
    }
}
