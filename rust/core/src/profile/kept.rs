//! Values that are kept until bins are drawn from them, in as few bytes as hold them.

/// Short floats as long as they hold everything that comes.
#[derive(Clone, Debug)]
pub enum Kept {
    Short(Vec<f32>),
    Long(Vec<f64>),
}

/// How many values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub long: usize,
    /// As long as all of them are short floats, which take half the memory.
    pub short: usize,
}

// === impl Limits ===

impl Limits {
    /// So many, whatever they are.
    pub fn of(values: usize) -> Limits {
        Limits { long: values, short: values }
    }
}

// === impl Kept ===

impl Default for Kept {
    fn default() -> Kept {
        Kept::Short(Vec::new())
    }
}

impl Kept {
    pub fn len(&self) -> usize {
        match self {
            Kept::Short(values) => values.len(),
            Kept::Long(values) => values.len(),
        }
    }

    pub fn is_full(&self, limits: Limits) -> bool {
        let most = if let Kept::Short(_) = self { limits.short } else { limits.long };
        self.len() >= most
    }

    /// Adds values until it is full, and hands back the others.
    pub fn add<'a>(&mut self, values: &'a [f64], limits: Limits) -> &'a [f64] {
        let mut rest = values;
        if let Kept::Short(kept) = self {
            let room = rest.len().min(limits.short.saturating_sub(kept.len()));
            let short = rest.iter().take(room).map_while(|&value| shortened(value));
            let before = kept.len();
            kept.extend(short);
            rest = rest.get(kept.len() - before..).unwrap_or_default();
            if rest.is_empty() || kept.len() >= limits.short {
                return rest;
            }
            *self = Kept::Long(self.values());
        }
        if let Kept::Long(kept) = self {
            let (taken, others) = rest.split_at(rest.len().min(limits.long.saturating_sub(kept.len())));
            kept.extend_from_slice(taken);
            rest = others;
        }
        rest
    }

    /// All of them, in order.
    pub fn values(&self) -> Vec<f64> {
        match self {
            Kept::Short(values) => values.iter().copied().map(f64::from).collect(),
            Kept::Long(values) => values.clone(),
        }
    }
}

/// A short float that is the same number, zero of the same sign.
fn shortened(value: f64) -> Option<f32> {
    let short = value as f32;
    (f64::from(short).to_bits() == value.to_bits()).then_some(short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { long: 10, short: 20 };

    #[test]
    fn twice_as_many_short_floats_are_kept() {
        for (value, most) in [(0.5, 20), (-0.0, 20), (0.1, 10), (1e300, 10)] {
            let mut kept = Kept::default();
            assert_eq!((kept.add(&[value; 30], LIMITS).len(), kept.is_full(LIMITS)), (30 - most, true));
            assert_eq!(kept.values(), vec![value; most]);
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_does_not_depend_on_how_values_come(
            values in prop::collection::vec(prop_oneof![9 => Just(0.5), 1 => Just(0.1)], 0..40), sizes in prop::collection::vec(1usize..9, 1..9),
        ) {
            let mut whole = Kept::default();
            whole.add(&values, LIMITS);
            let (mut pieces, mut rest) = (Kept::default(), &values[..]);
            for size in sizes.iter().cycle() {
                let (piece, later) = rest.split_at(rest.len().min(*size));
                let others = pieces.add(piece, LIMITS);
                rest = later;
                if rest.is_empty() || !others.is_empty() || pieces.is_full(LIMITS) {
                    break;
                }
            }
            prop_assert_eq!(pieces.values(), whole.values());
        }
    }
}
