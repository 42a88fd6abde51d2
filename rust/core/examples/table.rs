//! Watches the rows of a CSV file after those of another one, and says what has changed and when it was known.
//!
//! `cargo run --release -p pilotfish-core --example table REFERENCE.csv ANALYSIS.csv [PANE_ROWS] [ARL] [TOLERANCE]`.
//! Columns are numbers where all of the reference are, else categories; empty fields are missing. No quoted commas.
#![allow(clippy::print_stdout, reason = "its output is what an example is for")]
#![allow(clippy::disallowed_methods, reason = "an example reads files; the library does not")]

use pilotfish_core::monitor::{AlarmConfig, Monitor, MonitorConfig};
use pilotfish_core::profile::{Profile, ProfileBuilder};
use pilotfish_core::tensor::{Data, Datatype, Direction, Tensor};
use std::error::Error;
use std::sync::Arc;

const IN: Direction = Direction::Input;

/// Columns of text, with their names.
struct Table {
    names: Vec<String>,
    columns: Vec<Vec<String>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, analysis, settings @ ..] = &arguments[..] else {
        return Err("two files are needed: the reference and the rows to watch".into());
    };
    let setting = |place: usize, default: f64| -> Result<f64, Box<dyn Error>> {
        Ok(settings.get(place).map(|text| text.parse()).transpose()?.unwrap_or(default))
    };
    let alarm = AlarmConfig {
        arl: setting(1, 1e5)? as u64,
        tolerance: setting(2, 0.000_2)?,
        ..AlarmConfig::default()
    };
    let config = MonitorConfig { pane_rows: setting(0, 50.0)? as u32, alarm, ..MonitorConfig::default() };
    let (reference, analysis) = (Table::read(reference)?, Table::read(analysis)?);
    let profile = reference.profile()?;
    let mut monitor = Monitor::new(Arc::new(config), Some(Arc::new(profile.clone())));
    println!(
        "{:>8} {:>8} {:>24} {:<16} {:>8}  change between rows",
        "row", "state", "feature", "shape", "bits"
    );
    for row in 0..analysis.rows() {
        analysis.observe(row, &profile, &mut monitor)?;
        for event in monitor.take_events() {
            let state = format!("{:?}", event.state).to_lowercase();
            println!(
                "{:>8} {state:>8} {:>24} {:<16} {:>8.1}  {} (from {:?} to {:?})",
                event.row,
                event.feature,
                event.shape.unwrap_or_default(),
                event.score,
                event.change_row,
                event.change_from_row.unwrap_or_default(),
                event.change_to_row.unwrap_or_default()
            );
        }
    }
    Ok(())
}

// === impl Table ===

impl Table {
    fn read(path: &str) -> Result<Table, Box<dyn Error>> {
        let text = std::fs::read_to_string(path)?;
        let mut lines = text.lines();
        let names: Vec<String> =
            lines.next().ok_or("the file is empty")?.split(',').map(str::to_owned).collect();
        let mut columns = vec![Vec::new(); names.len()];
        for line in lines {
            columns.iter_mut().zip(line.split(',')).for_each(|(column, field)| column.push(field.to_owned()));
        }
        Ok(Table { names, columns })
    }

    fn rows(&self) -> usize {
        self.columns.iter().map(Vec::len).min().unwrap_or(0)
    }

    fn profile(&self) -> Result<Profile, Box<dyn Error>> {
        let mut builder = ProfileBuilder::new("table", 32);
        for (name, column) in self.names.iter().zip(&self.columns) {
            match column.iter().map(|field| number(field)).collect::<Option<Vec<f64>>>() {
                Some(numbers) => builder.add_column_f64(name, IN, &numbers)?,
                None => {
                    let labels = column.iter().map(|field| Some(field.as_bytes()));
                    builder.add_column_bytes(name, IN, labels)?;
                }
            }
        }
        Ok(builder.finish()?)
    }

    fn observe(&self, row: usize, profile: &Profile, monitor: &mut Monitor) -> Result<(), Box<dyn Error>> {
        let known = self.names.iter().zip(&self.columns).filter(|(name, _)| profile.get(IN, name).is_some());
        let tensors: Result<Vec<Tensor<'_>>, _> = known
            .map(|(name, column)| {
                let field = column[row].as_str();
                let is_number = profile.get(IN, name).is_some_and(|known| known.moments.count() > 0);
                let (datatype, data) = if is_number {
                    (Datatype::Fp64, Data::Owned(number(field).unwrap_or(f64::NAN).to_le_bytes().to_vec()))
                } else {
                    (Datatype::Bytes, Data::Bytes(vec![field.as_bytes()]))
                };
                Tensor::new(name, datatype, vec![1], data).map_err(|defect| format!("{name}: {defect:?}"))
            })
            .collect();
        monitor.observe(IN, &tensors?, 0);
        Ok(())
    }
}

fn number(field: &str) -> Option<f64> {
    if field.is_empty() { Some(f64::NAN) } else { field.parse().ok() }
}
