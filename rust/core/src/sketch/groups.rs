//! Whole numbers in as few bytes as they need: groups of seven bits, lowest first (LEB128).

/// Takes numbers off bytes; zeros when there are none left.
#[derive(Debug)]
pub struct Numbers<'a>(&'a [u8]);

/// Groups of seven bits, lowest first; the highest bit says that more follow.
#[inline]
pub fn write(bytes: &mut Vec<u8>, number: u128) {
    match u64::try_from(number) {
        Ok(number) => write_word(bytes, number),
        Err(_) => write_long(bytes, number),
    }
}

/// The same of a number that fits a word, as most do.
#[inline]
pub fn write_word(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// How many bytes that takes.
pub fn bytes(number: u64) -> usize {
    (u64::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize
}

#[cold]
fn write_long(bytes: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Whether bytes hold so many numbers, and nothing else.
pub fn holds(bytes: &[u8], numbers: usize) -> bool {
    let ends = bytes.iter().filter(|&&byte| byte < 0x80).count();
    ends == numbers && bytes.last().is_none_or(|&byte| byte < 0x80)
}

// === impl Numbers ===

impl<'a> Numbers<'a> {
    pub fn of(bytes: &'a [u8]) -> Numbers<'a> {
        Numbers(bytes)
    }

    #[inline]
    pub fn take(&mut self) -> u128 {
        if let [byte @ ..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return (*byte).into();
        }
        self.take_long()
    }

    fn take_long(&mut self) -> u128 {
        let (mut number, mut shift) = (0, 0);
        while let Some((&byte, rest)) = self.0.split_first() {
            self.0 = rest;
            number |= u128::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        number
    }
}
