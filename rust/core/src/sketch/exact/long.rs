//! Whole numbers of a thousand bits and more, and a window on the few of their digits that are in use.

use serde::{Deserialize, Serialize};

/// A whole number in digits of 64 bits, lowest first, each with room for carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Long<const DIGITS: usize> {
    digits: [i128; DIGITS],
}

/// Some neighbouring digits of a [`Long`]: all that values of similar size ever change.
#[derive(Clone, Debug)]
pub struct Window<const DIGITS: usize> {
    /// The place of the lowest among those of the number.
    first: usize,
    digits: [i128; DIGITS],
}

/// As many neighbouring digits of a [`Long`] as were ever in use.
#[derive(Clone, Debug, Default)]
pub struct Stretch {
    first: usize,
    digits: Vec<i128>,
}

/// A [`Long`] at rest: its digits but for zeros at either end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digits {
    negative: bool,
    first: u32,
    digits: Vec<u64>,
}

/// Adds `mantissa` (below 2^106) times two to the power of `shift` to digits of which the first is number `first`.
#[inline(always)]
fn add(digits: &mut [i128], first: usize, mantissa: u128, shift: usize, negative: bool) {
    let (position, shift) = ((shift / 64).wrapping_sub(first), shift % 64);
    let (low, high) = ((mantissa & u128::from(u64::MAX)) << shift, (mantissa >> 64) << shift);
    let sign = if negative { -1 } else { 1 };
    let mut add = |position: usize, piece: u128| {
        if let Some(digit) = digits.get_mut(position) {
            *digit += sign * piece as i128;
        }
    };
    add(position, low & u128::from(u64::MAX));
    add(position.wrapping_add(1), (low >> 64) + (high & u128::from(u64::MAX)));
    if high != 0 {
        add(position.wrapping_add(2), high >> 64);
    }
}

// === impl Window ===

impl<const DIGITS: usize> Window<DIGITS> {
    /// Nothing, on the digits from `first` on.
    pub fn at(first: usize) -> Self {
        Window { first, digits: [0; DIGITS] }
    }

    /// Whether bits from `low` to below `high` lie in it.
    pub fn holds(&self, low: usize, high: usize) -> bool {
        self.first * 64 <= low && high <= (self.first + DIGITS) * 64
    }

    /// Adds as [`Long::add`] does, to digits that it holds.
    #[inline]
    pub fn add(&mut self, mantissa: u128, shift: usize, negative: bool) {
        add(&mut self.digits, self.first, mantissa, shift, negative);
    }
}

// === impl Stretch ===

impl Stretch {
    /// Adds `mantissa` (below 2^106) times two to the power of `shift`.
    pub fn add(&mut self, mantissa: u128, shift: usize, negative: bool) {
        const TOUCHED: usize = 3;
        self.cover(shift / 64, TOUCHED);
        add(&mut self.digits, self.first, mantissa, shift, negative);
    }

    /// Adds the digits of a window, and empties it.
    pub fn take<const FEWER: usize>(&mut self, window: &mut Window<FEWER>) {
        if window.digits == [0; FEWER] {
            return;
        }
        self.cover(window.first, FEWER);
        let mine = self.digits.iter_mut().skip(window.first - self.first);
        mine.zip(&mut window.digits).for_each(|(mine, theirs)| *mine += std::mem::take(theirs));
    }

    /// Makes room for so many digits from `first` on.
    fn cover(&mut self, first: usize, digits: usize) {
        if self.digits.is_empty() {
            self.first = first;
        }
        let before = self.first.saturating_sub(first);
        self.digits.splice(..0, std::iter::repeat_n(0, before));
        self.first -= before;
        let length = first + digits - self.first;
        if length > self.digits.len() {
            self.digits.reserve_exact(length - self.digits.len());
            self.digits.resize(length, 0);
        }
    }

    /// Carries what digits hold above 64 bits to the next ones; the highest bears the sign.
    pub fn carry(&mut self) {
        let mut carry = 0;
        for digit in &mut self.digits {
            let total = *digit + carry;
            *digit = total & i128::from(u64::MAX);
            carry = total >> 64;
        }
        match self.digits.last_mut() {
            // Sign and all, where it has room for it.
            Some(highest) if carry.abs() <= 1 => *highest += carry << 64,
            _ => self.digits.push(carry),
        }
    }

    /// The whole number, carried.
    pub fn whole<const DIGITS: usize>(&self) -> Long<DIGITS> {
        let mut whole = Long::ZERO;
        let room = whole.digits.iter_mut().skip(self.first);
        room.zip(&self.digits).for_each(|(slot, digit)| *slot = *digit);
        whole.carried()
    }

    /// Of carried digits.
    pub fn of<const DIGITS: usize>(long: &Long<DIGITS>) -> Stretch {
        let Digits { negative, first, digits } = long.to_digits();
        let signed = |digit: u64| if negative { -i128::from(digit) } else { i128::from(digit) };
        Stretch { first: first as usize, digits: digits.into_iter().map(signed).collect() }
    }
}

// === impl Long ===

impl<const DIGITS: usize> Long<DIGITS> {
    pub const ZERO: Self = Long { digits: [0; DIGITS] };

    /// Adds `mantissa` (below 2^106) times two to the power of `shift`.
    #[inline]
    pub fn add(&mut self, mantissa: u128, shift: usize, negative: bool) {
        add(&mut self.digits, 0, mantissa, shift, negative);
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.digits.iter_mut().zip(other.digits) {
            *mine += theirs;
        }
    }

    /// The same number, with all digits but the highest (which bears the sign) from 0 to 2^64 - 1.
    pub fn carried(&self) -> Self {
        let (mut result, mut carry) = (Self::ZERO, 0);
        for (position, &digit) in self.digits.iter().enumerate() {
            let total = digit + carry;
            let is_highest = position + 1 == DIGITS;
            result.digits[position] = if is_highest { total } else { total & i128::from(u64::MAX) };
            carry = total >> 64;
        }
        result
    }

    fn is_negative(&self) -> bool {
        self.digits[DIGITS - 1] < 0
    }

    fn negated(&self) -> Self {
        Long { digits: self.digits.map(|digit| -digit) }.carried()
    }

    /// Its absolute value. Expects carried digits.
    fn absolute(&self) -> Self {
        if self.is_negative() { self.negated() } else { self.clone() }
    }

    pub fn times(&self, factor: u64) -> Self {
        let (mut result, mut carry) = (Self::ZERO, 0i128);
        for (position, &digit) in self.digits.iter().enumerate() {
            let product = digit as u128 * u128::from(factor) + carry as u128;
            result.digits[position] = (product & u128::from(u64::MAX)) as i128;
            carry = (product >> 64) as i128;
        }
        result
    }

    /// Less the square of `other`. Expects carried digits.
    pub fn less_square_of<const FEWER: usize>(&self, other: &Long<FEWER>) -> Self {
        let (mut result, factor) = (self.clone(), other.absolute());
        for (i, &a) in factor.digits.iter().enumerate().filter(|&(_, &a)| a != 0) {
            for (j, &b) in factor.digits.iter().enumerate().filter(|&(_, &b)| b != 0) {
                let product = a as u128 * b as u128;
                for (offset, piece) in [(0, product as u64), (1, (product >> 64) as u64)] {
                    if let Some(digit) = result.digits.get_mut(i + j + offset) {
                        *digit -= i128::from(piece);
                    }
                }
            }
        }
        result.carried()
    }

    /// The number as a float times a power of two: its highest 128 bits or more. Expects carried digits.
    pub fn rounded(&self) -> (f64, i32) {
        let magnitude = self.absolute();
        let Some(highest) = magnitude.digits.iter().rposition(|&digit| digit != 0) else { return (0.0, 0) };
        let lowest = highest.saturating_sub(2);
        let digits = magnitude.digits[lowest..=highest].iter().rev();
        let value = digits.fold(0.0, |value, &digit| value * 2f64.powi(64) + digit as f64);
        (if self.is_negative() { -value } else { value }, lowest as i32 * 64)
    }

    /// Hexadecimal, without leading zeros. Expects carried digits.
    pub fn to_hex(&self) -> String {
        let sign = if self.is_negative() { "-" } else { "" };
        let digits = self.absolute().digits;
        let hex: String = digits.iter().rev().map(|digit| format!("{digit:016x}")).collect();
        match hex.trim_start_matches('0') {
            "" => "0".to_owned(),
            trimmed => format!("{sign}{trimmed}"),
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (negative, hex) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let canonical = hex == "0" && !negative || !hex.starts_with('0');
        let digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        if hex.is_empty() || hex.len() > DIGITS * 16 - 1 || !canonical || !hex.as_bytes().iter().all(digit) {
            return None;
        }
        let mut result = Self::ZERO;
        for (slot, chunk) in result.digits.iter_mut().zip(hex.as_bytes().rchunks(16)) {
            *slot = i128::from(u64::from_str_radix(std::str::from_utf8(chunk).ok()?, 16).ok()?);
        }
        Some(if negative { result.negated() } else { result })
    }

    /// Expects carried digits.
    pub fn to_digits(&self) -> Digits {
        let digits = self.absolute().digits.map(|digit| digit as u64);
        let first = digits.iter().position(|&digit| digit != 0).unwrap_or(0);
        let end = digits.iter().rposition(|&digit| digit != 0).map_or(first, |last| last + 1);
        let digits = digits[first..end].to_vec();
        Digits { negative: self.is_negative(), first: first as u32, digits }
    }

    /// `None` when they are more than it has.
    pub fn from_digits(digits: &Digits) -> Option<Self> {
        let mut result = Self::ZERO;
        let room = result.digits[..DIGITS - 1].get_mut(digits.first as usize..)?;
        if digits.digits.len() > room.len() {
            return None;
        }
        room.iter_mut().zip(&digits.digits).for_each(|(slot, &digit)| *slot = i128::from(digit));
        Some(if digits.negative { result.negated() } else { result })
    }
}
