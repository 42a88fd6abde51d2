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

/// The same in place of other bytes, where there are any left; what comes behind it.
#[inline]
pub fn put(bytes: &mut [u8], mut at: usize, mut number: u64) -> usize {
    while let Some(byte) = bytes.get_mut(at) {
        at += 1;
        if number < 0x80 {
            *byte = number as u8;
            break;
        }
        *byte = number as u8 | 0x80;
        number >>= 7;
    }
    at
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

/// How many bytes the first so many numbers take.
pub fn length_of(bytes: &[u8], numbers: usize) -> usize {
    if bytes.get(..numbers).is_some_and(|all| all.iter().fold(0, |all, byte| all | byte) < 0x80) {
        return numbers;
    }
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte < 0x80);
    ends.map(|(end, _)| end + 1).take(numbers).last().unwrap_or(0)
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

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes that were not taken yet.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    #[inline]
    pub fn take(&mut self) -> u128 {
        if let [byte @ ..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return (*byte).into();
        }
        self.take_long()
    }

    /// Adds the next ones, one to each sum; no others follow.
    #[inline]
    pub fn add_to(mut self, sums: &mut [u64]) {
        if self.0.len() == sums.len() {
            // All of one byte.
            return sums.iter_mut().zip(self.0).for_each(|(sum, &byte)| *sum += u64::from(byte));
        }
        sums.iter_mut().for_each(|sum| *sum = sum.saturating_add(self.take() as u64));
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
