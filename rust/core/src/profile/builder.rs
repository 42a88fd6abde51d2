//! Builds a profile from columns of training data, in one pass.

use super::column::{Column, Labels, Numbers, Plan};
use super::{Profile, ProfileError};
use crate::sketch::BLOCK;
use crate::sketch::screen::screen;
use crate::tensor::Direction;
use std::collections::BTreeMap;

/// Rows from which the bins of a feature are drawn; further rows are counted on those bins.
const BUFFER_ROWS: usize = 65_536;

/// Takes columns, whole or in chunks, in any order. Memory is bounded by 65,536 values per numeric feature.
#[derive(Clone, Debug)]
pub struct ProfileBuilder {
    model: String,
    bins: u16,
    columns: BTreeMap<(Direction, String), Column>,
}

// === impl ProfileBuilder ===

impl ProfileBuilder {
    /// `bins` is clamped to 2 ... 64.
    pub fn new(model: &str, bins: u16) -> ProfileBuilder {
        ProfileBuilder { model: model.to_owned(), bins, columns: BTreeMap::new() }
    }

    /// Adds rows of a numeric feature; NaN is a missing value.
    ///
    /// # Errors
    /// [`ProfileError::KindConflict`] when the feature has rows of categories.
    pub fn add_column_f64(
        &mut self,
        name: &str,
        direction: Direction,
        values: &[f64],
    ) -> Result<(), ProfileError> {
        let plan = Plan { bins: self.bins.into(), integral: false, buffer: BUFFER_ROWS, every: 1 };
        let Column::Numbers(numbers) = self.column(name, direction, || Column::Numbers(Numbers::new(plan)))
        else {
            return Err(ProfileError::KindConflict { name: name.to_owned() });
        };
        let mut scratch = [0.0; BLOCK];
        for block in values.chunks(BLOCK) {
            let (finite, specials) = screen(block, &mut scratch);
            numbers.update(finite);
            numbers.add_specials(&specials);
        }
        Ok(())
    }

    /// Adds rows of a categorical feature; `None` is a missing value.
    ///
    /// # Errors
    /// [`ProfileError::KindConflict`] when the feature has rows of numbers.
    pub fn add_column_bytes<'a>(
        &mut self,
        name: &str,
        direction: Direction,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
    ) -> Result<(), ProfileError> {
        let Column::Labels(labels) = self.column(name, direction, || Column::Labels(Labels::default()))
        else {
            return Err(ProfileError::KindConflict { name: name.to_owned() });
        };
        values.into_iter().for_each(|value| labels.add(value.filter(|label| !label.is_empty())));
        Ok(())
    }

    fn column(&mut self, name: &str, direction: Direction, new: impl FnOnce() -> Column) -> &mut Column {
        self.columns.entry((direction, name.to_owned())).or_insert_with(new)
    }

    /// The profile.
    ///
    /// # Errors
    /// [`ProfileError::Empty`] when no row was added.
    pub fn finish(self) -> Result<Profile, ProfileError> {
        let references = self
            .columns
            .into_iter()
            .filter_map(|((direction, name), column)| column.finish(&name, direction));
        Profile::new(&self.model, references.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::binning::Kind;

    const IN: Direction = Direction::Input;

    #[test]
    fn chunks_give_the_same_profile_as_the_whole_column() {
        let values: Vec<f64> = (0..70_000).map(|i| f64::from(i * 7919 % 10_007)).collect();
        let (mut whole, mut chunked) = (ProfileBuilder::new("m", 32), ProfileBuilder::new("m", 32));
        whole.add_column_f64("x", IN, &values).unwrap();
        for chunk in values.chunks(3 * BLOCK) {
            chunked.add_column_f64("x", IN, chunk).unwrap();
        }
        assert_eq!(whole.finish().unwrap().to_bytes(), chunked.finish().unwrap().to_bytes());
    }

    #[test]
    fn missing_values_are_part_of_the_reference() {
        let mut builder = ProfileBuilder::new("m", 32);
        builder.add_column_f64("x", IN, &[1.0, f64::NAN, 2.0, f64::INFINITY]).unwrap();
        builder.add_column_bytes("c", IN, [Some(&b"a"[..]), None, Some(b"")]).unwrap();
        let profile = builder.finish().unwrap();
        let x = profile.get(IN, "x").unwrap();
        assert_eq!((x.bins.specials().nan, x.bins.specials().pos_inf, x.moments.mean()), (1, 1, Some(1.5)));
        let c = profile.get(IN, "c").unwrap();
        assert_eq!((c.bins.binning().kind(), c.bins.specials().missing), (Kind::Category, 2));
        assert_eq!(profile.rows(), 4);
    }

    #[test]
    fn a_column_is_numbers_or_categories_but_not_both() {
        let mut builder = ProfileBuilder::new("m", 32);
        builder.add_column_f64("x", IN, &[1.0]).unwrap();
        let conflict = Err(ProfileError::KindConflict { name: "x".into() });
        assert_eq!(builder.add_column_bytes("x", IN, [Some(&b"a"[..])]), conflict);
        builder.add_column_bytes("x", Direction::Output, [Some(&b"a"[..])]).unwrap();
    }

    #[test]
    fn nothing_makes_no_profile() {
        let mut builder = ProfileBuilder::new("m", 32);
        builder.add_column_f64("x", IN, &[]).unwrap();
        assert_eq!(builder.finish().err(), Some(ProfileError::Empty));
    }
}
