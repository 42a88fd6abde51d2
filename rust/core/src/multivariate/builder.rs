//! Learns a joint map and the references of its numbers from rows, in one pass and bounded memory.

use super::joint::{Joint, Joints, Wanted};
use crate::profile::{Column, Limits, Numbers, Plan, Profile, ProfileError, Reference};
use crate::sketch::BLOCK;
use crate::tensor::Direction;

/// Values kept until the map is learned from them (32 MiB); further rows are mapped and counted.
const VALUES_MAX: usize = 4 << 20;

/// Bins of a number, unless others are asked for.
pub const BINS: usize = 32;

/// Values of each number from which its bins are drawn.
const BUFFER: usize = 65_536;

/// Takes rows, some at a time.
#[derive(Clone, Debug)]
pub struct JointBuilder {
    tensor: String,
    columns: usize,
    bins: usize,
    wanted: Wanted,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Rows are kept; the map is not learned yet.
    Kept(Vec<f64>),
    Learned(Box<Learned>),
}

#[derive(Clone, Debug)]
struct Learned {
    joint: Joint,
    numbers: Vec<Numbers>,
}

// === impl JointBuilder ===

impl JointBuilder {
    pub fn new(tensor: &str, columns: usize, bins: usize, wanted: Wanted) -> JointBuilder {
        JointBuilder { tensor: tensor.to_owned(), columns, bins, wanted, stage: Stage::Kept(Vec::new()) }
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Adds rows, row-major.
    pub fn add(&mut self, rows: &[f64]) {
        let mut later = rows;
        if let Stage::Kept(kept) = &mut self.stage {
            let room = VALUES_MAX.saturating_sub(kept.len()) / self.columns.max(1) * self.columns;
            let (now, rest) = rows.split_at(rows.len().min(room));
            kept.extend_from_slice(now);
            later = rest;
            if !later.is_empty() {
                self.learn();
            }
        }
        if let Stage::Learned(learned) = &mut self.stage {
            learned.joint.count(later);
            learned.add(later);
        }
    }

    fn learn(&mut self) {
        let Stage::Kept(kept) = &mut self.stage else { return };
        let kept = std::mem::take(kept);
        let Some(joint) = Joint::learn(&self.tensor, self.columns, &kept, self.wanted) else { return };
        let plan = Plan { bins: self.bins, integral: false, buffer: Limits::of(BUFFER), every: 1 };
        let numbers = vec![Numbers::new(plan); joint.width()];
        let mut learned = Learned { joint, numbers };
        learned.add(&kept);
        self.stage = Stage::Learned(Box::new(learned));
    }

    /// The map, and a reference for each of its numbers, given the names of the columns; none without rows.
    pub fn finish(mut self, columns: &[String]) -> Option<(Joint, Vec<Reference>)> {
        self.learn();
        let Stage::Learned(learned) = self.stage else { return None };
        let Learned { joint, numbers } = *learned;
        let names = joint.names(columns);
        let references = numbers
            .into_iter()
            .zip(&names)
            .map(|(numbers, name)| Column::Numbers(numbers).finish(name, Direction::Input))
            .collect::<Option<Vec<_>>>()?;
        Some((joint, references))
    }

    /// A profile with the map and the references, in place of those it had of that tensor; of an embedding also in place of
    /// its columns, which are not watched.
    ///
    /// # Errors
    /// [`ProfileError::Empty`] without rows; those of [`Profile::section`].
    pub fn into_profile(
        self,
        profile: &Profile,
        columns: &[String],
        is_embedding: bool,
    ) -> Result<Profile, ProfileError> {
        let (joint, references) = self.finish(columns).ok_or(ProfileError::Empty)?;
        let mut joints = profile.section::<Joints>()?.unwrap_or_default();
        let before = joints.of(joint.tensor()).map(|before| before.names(columns)).unwrap_or_default();
        joints.maps.retain(|known| known.tensor() != joint.tensor());
        joints.maps.push(joint);
        joints.maps.sort_by(|a, b| a.tensor().cmp(b.tensor()));
        let is_replaced = |name: &String| before.contains(name) || (is_embedding && columns.contains(name));
        let kept = profile.references().iter();
        let kept = kept.filter(|it| it.direction != Direction::Input || !is_replaced(&it.name));
        let all = kept.map(|it| Reference::clone(it)).chain(references).collect();
        Profile::with_sections(profile.model(), all, profile.sections().clone())?.with_section(&joints)
    }
}

// === impl Learned ===

impl Learned {
    fn add(&mut self, rows: &[f64]) {
        let (columns, width) = (self.joint.columns(), self.joint.width());
        let mut block = Block::new(width);
        let (mut standard, mut numbers) = (vec![0.0; columns], vec![0.0; width]);
        for row in rows.chunks_exact(columns) {
            self.joint.standardise(row, &mut standard);
            self.joint.project(&standard, &mut numbers);
            block.push(&numbers);
            if block.is_full() {
                block.drain(|number, values| self.numbers[number].update(values));
            }
        }
        block.drain(|number, values| self.numbers[number].update(values));
    }
}

/// Rows of numbers that wait to be counted number by number.
#[derive(Clone, Debug)]
pub(super) struct Block {
    width: usize,
    rows: usize,
    /// Number by number.
    values: Vec<f64>,
}

// === impl Block ===

impl Block {
    pub fn new(width: usize) -> Block {
        Block { width, rows: 0, values: vec![0.0; width * BLOCK] }
    }

    pub fn is_full(&self) -> bool {
        self.rows == BLOCK
    }

    pub fn push(&mut self, numbers: &[f64]) {
        let row = self.rows % BLOCK;
        numbers
            .iter()
            .take(self.width)
            .enumerate()
            .for_each(|(number, value)| self.values[number * BLOCK + row] = *value);
        self.rows += 1;
    }

    /// Shows the waiting values, number by number, and forgets them.
    pub fn drain(&mut self, mut visit: impl FnMut(usize, &[f64])) {
        if self.rows > 0 {
            for (number, values) in self.values.chunks_exact(BLOCK).enumerate() {
                visit(number, &values[..self.rows.min(BLOCK)]);
            }
        }
        self.rows = 0;
    }
}
