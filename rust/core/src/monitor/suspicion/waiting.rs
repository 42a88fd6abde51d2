//! What was counted, cell by cell, up to three moments: when rows were looked at last, weighed, and kept in the history.
//!
//! Only the first is kept as it was, modulo 2^32, of which differences take no notice. Few rows lie between the others,
//! so that a difference mostly fits half the memory; where it does not, all are kept longer.

use crate::detect::edetector::screen::{LANES, WIDTH};
use crate::prefetch::prefetch;
use fearless_simd::{Level, dispatch};

/// By block of cells, what a look reads in one place.
#[derive(Clone, Debug)]
pub enum Waiting {
    Short(Box<[Block<u16>]>),
    Long(Box<[Block<u32>]>),
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Block<D> {
    seen: [u32; LANES],
    /// What was seen and not weighed.
    waiting: [D; LANES],
    /// What was kept and not weighed.
    kept: [D; LANES],
}

/// All blocks, as they are worked with.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub seen: [u32; WIDTH],
    pub waiting: [u32; WIDTH],
    pub kept: [u32; WIDTH],
}

/// What a look sees: all that was counted, what is new of it, what was not kept yet, and what waits.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub all: [u32; WIDTH],
    pub latest: [u32; WIDTH],
    pub recent: [u32; WIDTH],
    pub waiting: [u32; WIDTH],
}

// === impl Waiting ===

impl Waiting {
    /// Nothing, of so many cells.
    pub fn nothing(cells: usize) -> Waiting {
        Waiting::Short(vec![Block::default(); cells.div_ceil(LANES)].into())
    }

    /// How many cells there is room for.
    pub fn lanes(&self) -> usize {
        match self {
            Waiting::Short(blocks) => LANES * blocks.len(),
            Waiting::Long(blocks) => LANES * blocks.len(),
        }
    }

    /// What is seen when so much has been counted.
    #[inline]
    pub fn see(&self, cells: &[u64]) -> Seen {
        dispatch!(Level::new(), _simd => match self {
            Waiting::Short(blocks) => see(blocks, cells),
            Waiting::Long(blocks) => see(blocks, cells),
        })
    }

    /// Takes note of what was seen.
    #[inline]
    pub fn note(&mut self, seen: &Seen) {
        if let Waiting::Short(blocks) = self
            && dispatch!(Level::new(), _simd => note(blocks, seen))
        {
            return;
        }
        let Counts { kept, .. } = self.counts();
        self.set(&Counts { seen: seen.all, waiting: seen.waiting, kept });
    }

    pub fn counts(&self) -> Counts {
        match self {
            Waiting::Short(blocks) => unpacked(blocks),
            Waiting::Long(blocks) => unpacked(blocks),
        }
    }

    /// Takes in all three.
    pub fn set(&mut self, counts: &Counts) {
        let all =
            counts.waiting.iter().zip(&counts.kept).fold(0, |all, (waiting, kept)| all | waiting | kept);
        if let Waiting::Short(blocks) = self
            && all <= u16::MAX.into()
        {
            return pack(blocks, counts, |difference| difference as u16);
        }
        self.set_anew(counts, all);
    }

    #[cold]
    fn set_anew(&mut self, counts: &Counts, all: u32) {
        let blocks = self.lanes() / LANES;
        if all <= u16::MAX.into() {
            let mut short = vec![Block::default(); blocks];
            pack(&mut short, counts, |difference| difference as u16);
            *self = Waiting::Short(short.into());
        } else {
            let mut long = vec![Block::default(); blocks];
            pack(&mut long, counts, |difference| difference);
            *self = Waiting::Long(long.into());
        }
    }

    /// Asks for the cache lines.
    pub fn prefetch(&self) {
        match self {
            Waiting::Short(blocks) => prefetch(&**blocks),
            Waiting::Long(blocks) => prefetch(&**blocks),
        }
    }
}

#[inline(always)]
fn by_block(cells: &[u32; WIDTH]) -> &[[u32; LANES]] {
    cells.as_chunks().0
}

#[inline(always)]
fn see<D: Copy + Into<u32>>(blocks: &[Block<D>], cells: &[u64]) -> Seen {
    let mut seen = Seen { all: [0; WIDTH], latest: [0; WIDTH], recent: [0; WIDTH], waiting: [0; WIDTH] };
    let Seen { all, latest, recent, waiting } = &mut seen;
    let (whole, rest) = cells.as_chunks::<LANES>();
    let mut last = [0; LANES];
    last.iter_mut().zip(rest).for_each(|(last, count)| *last = *count);
    let cells = whole.iter().chain(std::iter::once(&last));
    let [(all, _), (latest, _), (recent, _), (waiting, _)] =
        [all, latest, recent, waiting].map(|counts| counts.as_chunks_mut::<LANES>());
    for (((((block, cells), all), latest), recent), waiting) in
        blocks.iter().zip(cells).zip(all).zip(latest).zip(recent).zip(waiting)
    {
        let counted = cells.map(|count| count as u32);
        let (before, kept): ([u32; LANES], [u32; LANES]) =
            (block.waiting.map(Into::into), block.kept.map(Into::into));
        *latest = std::array::from_fn(|lane| counted[lane].wrapping_sub(block.seen[lane]));
        *waiting = std::array::from_fn(|lane| latest[lane].wrapping_add(before[lane]));
        *recent = std::array::from_fn(|lane| waiting[lane].wrapping_sub(kept[lane]));
        *all = counted;
    }
    seen
}

/// Whether it fits.
#[inline(always)]
fn note(blocks: &mut [Block<u16>], seen: &Seen) -> bool {
    let mut many = [0; LANES];
    for ((block, all), waiting) in blocks.iter_mut().zip(by_block(&seen.all)).zip(by_block(&seen.waiting)) {
        *block = Block { seen: *all, waiting: waiting.map(|waiting| waiting as u16), kept: block.kept };
        many = std::array::from_fn(|lane| many[lane] | waiting[lane]);
    }
    many.iter().fold(0, |all, many| all | many) <= u16::MAX.into()
}

#[inline(always)]
fn unpacked<D: Copy + Into<u32>>(blocks: &[Block<D>]) -> Counts {
    let mut counts = Counts { seen: [0; WIDTH], waiting: [0; WIDTH], kept: [0; WIDTH] };
    let [(seen, _), (waiting, _), (kept, _)] =
        [&mut counts.seen, &mut counts.waiting, &mut counts.kept].map(|all| all.as_chunks_mut::<LANES>());
    for (((block, seen), waiting), kept) in blocks.iter().zip(seen).zip(waiting).zip(kept) {
        *seen = block.seen;
        *waiting = block.waiting.map(Into::into);
        *kept = block.kept.map(Into::into);
    }
    counts
}

#[inline(always)]
fn pack<D>(blocks: &mut [Block<D>], counts: &Counts, short: impl Fn(u32) -> D + Copy) {
    let Counts { seen, waiting, kept } = counts;
    let [(seen, _), (waiting, _), (kept, _)] = [seen, waiting, kept].map(|all| all.as_chunks::<LANES>());
    for (((block, seen), waiting), kept) in blocks.iter_mut().zip(seen).zip(waiting).zip(kept) {
        *block = Block { seen: *seen, waiting: waiting.map(short), kept: kept.map(short) };
    }
}

// === impl Counts ===

impl Counts {
    /// All moments are one.
    pub fn at(seen: [u32; WIDTH]) -> Counts {
        Counts { seen, waiting: [0; WIDTH], kept: [0; WIDTH] }
    }

    /// Of what was counted in all until each of them.
    pub fn of(seen: [u32; WIDTH], weighed: &[u32; WIDTH], kept: &[u32; WIDTH]) -> Counts {
        Counts { waiting: less(&seen, weighed), kept: less(kept, weighed), seen }
    }

    /// All that was counted until rows were weighed, and until they were kept.
    pub fn until_weighed(&self) -> [u32; WIDTH] {
        less(&self.seen, &self.waiting)
    }

    pub fn until_kept(&self) -> [u32; WIDTH] {
        more(&self.until_weighed(), &self.kept)
    }

    /// Those of two workers.
    pub fn merged(&self, other: &Counts) -> Counts {
        Counts {
            seen: more(&self.seen, &other.seen),
            waiting: more(&self.waiting, &other.waiting),
            kept: more(&self.kept, &other.kept),
        }
    }

    /// Takes note of what was seen.
    pub fn note(&mut self, seen: &Seen) {
        (self.seen, self.waiting) = (seen.all, seen.waiting);
    }

    /// What was counted since rows were kept, until `waiting` waited to be weighed.
    pub fn keep(&mut self, waiting: &[u32; WIDTH]) -> [u32; WIDTH] {
        let counts = less(waiting, &self.kept);
        self.kept = *waiting;
        counts
    }

    /// What waits is weighed.
    pub fn weigh(&mut self) {
        self.kept = less(&self.kept, &self.waiting);
        self.waiting = [0; WIDTH];
    }
}

/// Modulo 2^32, cell by cell.
#[inline(always)]
fn less(all: &[u32; WIDTH], part: &[u32; WIDTH]) -> [u32; WIDTH] {
    std::array::from_fn(|cell| all[cell].wrapping_sub(part[cell]))
}

#[inline(always)]
fn more(one: &[u32; WIDTH], other: &[u32; WIDTH]) -> [u32; WIDTH] {
    std::array::from_fn(|cell| one[cell].wrapping_add(other[cell]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is done with counts: so much is added, and then they are looked at, kept or weighed.
    fn steps() -> impl Strategy<Value = Vec<(u32, u8)>> {
        prop::collection::vec((prop_oneof![8 => 0u32..200, 1 => any::<u32>()], 0u8..3), 0..40)
    }

    proptest! {
        #[test]
        fn differences_are_those_of_all_that_was_counted(steps in steps(), cells in 1usize..WIDTH) {
            let mut counted = Waiting::nothing(cells);
            let (mut now, mut seen, mut weighed, mut kept) = (7u32, 0u32, 0u32, 0u32);
            for (added, what) in steps {
                now = now.wrapping_add(added);
                let what_is_seen = counted.see(&vec![now.into(); cells]);
                prop_assert_eq!(what_is_seen.latest[cells - 1], now.wrapping_sub(seen));
                prop_assert_eq!(what_is_seen.waiting[0], now.wrapping_sub(weighed));
                prop_assert_eq!(what_is_seen.recent[0], now.wrapping_sub(kept));
                seen = now;
                counted.note(&what_is_seen);
                let mut counts = counted.counts();
                prop_assert_eq!((counts.seen, counts.waiting), (what_is_seen.all, what_is_seen.waiting));
                if what > 0 {
                    let waiting = counts.waiting;
                    prop_assert_eq!(counts.keep(&waiting)[0], now.wrapping_sub(kept));
                    kept = now;
                }
                if what > 1 {
                    counts.weigh();
                    weighed = now;
                }
                counted.set(&counts);
                let short = [seen.wrapping_sub(weighed), kept.wrapping_sub(weighed)].iter().all(|it| *it < 1 << 16);
                prop_assert_eq!(matches!(counted, Waiting::Short(_)), short);
                let counts = counted.counts();
                prop_assert_eq!((counts.seen[0], counts.until_weighed()[0], counts.until_kept()[0]), (seen, weighed, kept));
                let again = Counts::of(counts.seen, &counts.until_weighed(), &counts.until_kept());
                prop_assert_eq!((again.waiting, again.kept), (counts.waiting, counts.kept));
            }
        }
    }
}
