//! Builds a profile from columns of training data, in one pass.

use super::column::{Column, Labels, Numbers, Plan};
use super::kept::Limits;
use super::{Profile, ProfileError};
use crate::sketch::BLOCK;
use crate::sketch::binning::{Binning, Kind};
use crate::sketch::screen::screen;
use crate::tensor::Direction;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// Rows from which the bins of a feature are drawn; further rows are counted on those bins.
const BUFFER_ROWS: usize = 65_536;

/// Takes columns, whole or in chunks, in any order. Memory is bounded by 65,536 values per numeric feature.
#[derive(Clone, Debug)]
pub struct ProfileBuilder {
    model: String,
    bins: u16,
    /// The profile whose bins are used.
    edges: Option<Profile>,
    columns: BTreeMap<(Direction, String), Column>,
}

// === impl ProfileBuilder ===

impl ProfileBuilder {
    /// `bins` is clamped to 2 ... 64.
    pub fn new(model: &str, bins: u16) -> ProfileBuilder {
        ProfileBuilder { model: model.to_owned(), bins, edges: None, columns: BTreeMap::new() }
    }

    /// For a part of the data: counts on the bins of `edges`, so that what is built can be merged with other parts.
    pub fn on(edges: &Profile) -> ProfileBuilder {
        ProfileBuilder { edges: Some(edges.clone()), ..ProfileBuilder::new(edges.model(), 0) }
    }

    /// Adds rows of a numeric feature; NaN is a missing value.
    ///
    /// # Errors
    /// [`ProfileError::KindConflict`] when the feature has rows of categories; [`ProfileError::NoEdges`] when the
    /// profile whose bins are used does not have it, [`ProfileError::OtherKind`] when it has it as categories.
    pub fn add_column_f64(
        &mut self,
        name: &str,
        direction: Direction,
        values: &[f64],
    ) -> Result<(), ProfileError> {
        let plan =
            Plan { bins: self.bins.into(), integral: false, buffer: Limits::of(BUFFER_ROWS), every: 1 };
        let new = |given| match given {
            None => Column::Numbers(Numbers::new(plan)),
            Some(binning) => Column::Numbers(Numbers::on(plan, binning)),
        };
        let Column::Numbers(numbers) = self.column(name, direction, false, new)? else {
            return Err(ProfileError::KindConflict { name: name.to_owned() });
        };
        let mut scratch = [0.0; BLOCK];
        for block in values.chunks(BLOCK) {
            let (finite, specials) = screen(block, &mut scratch);
            numbers.add_specials(&specials); // first: they belong to the same rows
            numbers.update(finite);
        }
        Ok(())
    }

    /// Adds rows of a categorical feature; `None` is a missing value.
    ///
    /// # Errors
    /// [`ProfileError::KindConflict`] when the feature has rows of numbers; [`ProfileError::NoEdges`] when the profile
    /// whose bins are used does not have it, [`ProfileError::OtherKind`] when it has it as numbers.
    pub fn add_column_bytes<'a>(
        &mut self,
        name: &str,
        direction: Direction,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
    ) -> Result<(), ProfileError> {
        let new = |given: Option<_>| Column::Labels(given.map_or_else(Labels::default, Labels::on));
        let Column::Labels(labels) = self.column(name, direction, true, new)? else {
            return Err(ProfileError::KindConflict { name: name.to_owned() });
        };
        values.into_iter().for_each(|value| labels.add(value.filter(|label| !label.is_empty())));
        Ok(())
    }

    fn column(
        &mut self,
        name: &str,
        direction: Direction,
        category: bool,
        new: impl FnOnce(Option<Arc<Binning>>) -> Column,
    ) -> Result<&mut Column, ProfileError> {
        match self.columns.entry((direction, name.to_owned())) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let given =
                    self.edges.as_ref().map(|edges| given(edges, name, direction, category)).transpose()?;
                Ok(place.insert(new(given)))
            }
        }
    }

    /// The profile.
    ///
    /// # Errors
    /// [`ProfileError::Empty`] when no row was added; [`ProfileError::NoRows`] when a feature of the profile whose bins
    /// are used was not added.
    pub fn finish(self) -> Result<Profile, ProfileError> {
        if let Some(edges) = &self.edges {
            let absent = edges
                .references()
                .iter()
                .find(|reference| !self.columns.contains_key(&(reference.direction, reference.name.clone())));
            if let Some(reference) = absent {
                return Err(ProfileError::NoRows { name: reference.name.clone() });
            }
        }
        let references = self
            .columns
            .into_iter()
            .filter_map(|((direction, name), column)| column.finish(&name, direction));
        Profile::new(&self.model, references.collect())
    }
}

/// The bins that a feature has in another profile.
fn given(
    edges: &Profile,
    name: &str,
    direction: Direction,
    category: bool,
) -> Result<Arc<Binning>, ProfileError> {
    let known = edges.get(direction, name).map(|reference| reference.bins.binning());
    let binning = known.ok_or_else(|| ProfileError::NoEdges { name: name.to_owned(), category })?;
    if (binning.kind() == Kind::Category) != category {
        return Err(ProfileError::OtherKind { name: name.to_owned(), category });
    }
    Ok(Arc::clone(binning))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_part_needs_the_features_of_the_profile_whose_bins_it_uses() {
        let mut whole = ProfileBuilder::new("m", 32);
        whole.add_column_f64("x", IN, &[1.0, 2.0]).unwrap();
        whole.add_column_bytes("c", IN, [Some(&b"a"[..])]).unwrap();
        let whole = whole.finish().unwrap();
        let mut part = ProfileBuilder::on(&whole);
        let unknown = part.add_column_f64("y", IN, &[1.0]).unwrap_err();
        assert_eq!(unknown, ProfileError::NoEdges { name: "y".into(), category: false });
        let mixed = part.add_column_bytes("x", IN, [Some(&b"a"[..])]).unwrap_err();
        assert_eq!(mixed, ProfileError::OtherKind { name: "x".into(), category: true });
        part.add_column_f64("x", IN, &[1.0]).unwrap();
        assert_eq!(part.clone().finish().err(), Some(ProfileError::NoRows { name: "c".into() }));
        part.add_column_bytes("c", IN, [Some(&b"new"[..])]).unwrap();
        assert_eq!(part.finish().unwrap().get(IN, "c").unwrap().bins.unseen(), 1);
    }

    #[test]
    fn nothing_makes_no_profile() {
        let mut builder = ProfileBuilder::new("m", 32);
        builder.add_column_f64("x", IN, &[]).unwrap();
        assert_eq!(builder.finish().err(), Some(ProfileError::Empty));
    }
}
