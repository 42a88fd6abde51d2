//! Recorded rows through the live code: which alarms would have been raised, and how far things were by then.
//!
//! A [`Monitor`] counts the rows, closes the panes and raises alarms, as it would have done live; or, when a familiar
//! detector is asked for, that one raises them and the monitor only says how far the panes around them were. Rows are
//! cut at the edges of panes, so that every alarm is told with the distances of the pane it fell in. Alarms are handed
//! out as they come: what is kept does not grow with the rows.
//!
//! ```
//! use pilotfish_core::backtest::{Backtest, BacktestConfig, Values};
//! use pilotfish_core::profile::ProfileBuilder;
//! use pilotfish_core::tensor::Direction::Input;
//! use std::sync::Arc;
//!
//! let noise = |row: u64| (row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / 1_048_576.0;
//! let mut training = ProfileBuilder::new("thermometer", 32);
//! training.add_column_f64("celsius", Input, &(0..10_000).map(noise).collect::<Vec<_>>())?;
//!
//! let mut backtest = Backtest::new(BacktestConfig::default(), Arc::new(training.finish()?))?;
//! let recorded: Vec<f64> = (0..5_000).map(|row| noise(row) + if row < 3_000 { 0.0 } else { 8.0 }).collect();
//! backtest.observe(&[("celsius", Input, Values::Numbers { columns: 1, values: &recorded })]).map_err(|defect| defect.name())?;
//! let alarms = backtest.finish();
//! assert_eq!(alarms[0].event.feature(), "celsius");
//! assert!((3_001..=4_000).contains(&alarms[0].event.row()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod familiar;

use crate::detect::{AlarmEvent, AlarmState};
use crate::error::ConfigurationError;
use crate::monitor::{
    DetectorKind, DriftSnapshot, Monitor, MonitorConfig, MonitorSnapshot, SCHEMA, look_rows,
};
use crate::profile::Profile;
use crate::tensor::{Data, Datatype, Defect, Direction, Tensor};
use crate::window::cascade::Horizon;
use familiar::Familiar;
pub use familiar::FamiliarAlarm;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// What to run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BacktestConfig {
    /// How the rows are watched, as live.
    pub monitor: MonitorConfig,
    /// The familiar detector that raises the alarms; the monitor's own are raised without one.
    pub familiar: Option<FamiliarConfig>,
    /// Whether the columns of a table are all there was, so that a feature without one is absent; chosen ones are not.
    pub whole: bool,
}

/// A detector of [`crate::detect::sequential::named`], one for every numeric feature.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamiliarConfig {
    pub name: String,
    #[serde(default)]
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// Some rows of a tensor.
#[derive(Clone, Debug)]
pub enum Values<'a> {
    /// Row-major.
    Numbers { columns: usize, values: &'a [f64] },
    /// An empty one is missing.
    Texts(Vec<&'a [u8]>),
}

/// An alarm that was raised: as live, or by a familiar detector.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Event {
    Live(AlarmEvent),
    Familiar(FamiliarAlarm),
}

/// An alarm, and the distances of the pane in which it was raised.
#[derive(Clone, Debug, Serialize)]
pub struct Alarm {
    pub event: Event,
    /// Of the last closed pane, where the recording ends before that of the alarm; null where none was closed.
    pub drift: Option<DriftSnapshot>,
}

/// How far the pane closed last was from the reference.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub feature: String,
    pub direction: Direction,
    pub drift: DriftSnapshot,
}

/// See the module.
#[derive(Debug)]
pub struct Backtest {
    profile: Arc<Profile>,
    monitor: Monitor,
    familiar: Option<Familiar>,
    pane_rows: u64,
    /// Rows before which nothing is compared.
    fewest_rows: u64,
    whole: bool,
    /// Rows of the inputs and of the outputs.
    rows: [u64; 2],
    /// Alarms of panes that are still open.
    open: Vec<Event>,
    alarms: Vec<Alarm>,
}

// === impl Backtest ===

impl Backtest {
    /// # Errors
    /// A setting that makes no sense, with the remedy.
    pub fn new(config: BacktestConfig, profile: Arc<Profile>) -> Result<Backtest, ConfigurationError> {
        config.monitor.check().map_err(ConfigurationError)?;
        let mut monitor = config.monitor;
        if monitor.window_rows.is_none() {
            monitor.windows = Horizon::Off; // recorded rows have no time of their own
        }
        let familiar = config.familiar.map(|familiar| Familiar::new(familiar, &profile)).transpose()?;
        let pane_rows = u64::from(monitor.pane_rows);
        let fewest_rows = match (&familiar, monitor.alarm.detector) {
            (Some(_), _) => 1,
            (None, DetectorKind::EDetector) => pane_rows.min(look_rows(Some(&profile))),
            (None, DetectorKind::Threshold) => pane_rows,
        };
        Ok(Backtest {
            pane_rows,
            fewest_rows,
            whole: config.whole,
            monitor: Monitor::new(Arc::new(monitor), Some(Arc::clone(&profile))),
            profile,
            familiar,
            rows: [0; 2],
            open: Vec::new(),
            alarms: Vec::new(),
        })
    }

    /// Takes in the next rows of a table: of every tensor as many.
    ///
    /// # Errors
    /// [`Defect::ShapeMismatch`] when tensors have different numbers of rows; nothing was taken in.
    pub fn observe(&mut self, tensors: &[(&str, Direction, Values<'_>)]) -> Result<(), Defect> {
        let rows = tensors.first().map_or(0, |(_, _, values)| values.rows());
        if tensors.iter().any(|(_, _, values)| values.rows() != rows) {
            return Err(Defect::ShapeMismatch);
        }
        let mut done = 0;
        while done < rows {
            let seen = self.rows[0].max(self.rows[1]);
            let room = (self.pane_rows - seen % self.pane_rows) as usize;
            let part = done..rows.min(done + room);
            for direction in [Direction::Input, Direction::Output] {
                let of_direction = tensors.iter().filter(|(_, side, _)| *side == direction);
                let tensors = of_direction.map(|(name, _, values)| values.tensor(name, part.clone()));
                self.observe_tensors(direction, &tensors.collect::<Result<Vec<_>, _>>()?);
            }
            self.hand_out(self.whole);
            done = part.end;
        }
        Ok(())
    }

    /// Takes in the tensors of one message of a journal.
    pub fn observe_message(&mut self, direction: Direction, tensors: &[Tensor<'_>]) {
        self.observe_tensors(direction, tensors);
        self.hand_out(true);
    }

    /// Alarms since this was last called. One that was raised before its pane was full comes when it is.
    pub fn take_alarms(&mut self) -> Vec<Alarm> {
        std::mem::take(&mut self.alarms)
    }

    /// The alarms that are left when there are no more rows.
    pub fn finish(&mut self) -> Vec<Alarm> {
        let open = std::mem::take(&mut self.open);
        self.tell(open);
        self.take_alarms()
    }

    /// How far the panes closed last were from the reference, for every feature that has one.
    pub fn measured(&self) -> Vec<Measured> {
        let features = self.monitor.snapshot(false).features.into_iter();
        let measured = features.filter_map(|feature| {
            Some(Measured { feature: feature.name, direction: feature.direction, drift: feature.drift? })
        });
        measured.collect()
    }

    /// Everything that is seen of the rows so far; with `detail` the evidence of each feature by shape.
    pub fn snapshot(&self, detail: bool) -> MonitorSnapshot {
        self.monitor.snapshot(detail)
    }

    /// The features that can raise an alarm, if they are seen.
    pub fn watched(&self) -> Vec<(Direction, String)> {
        match &self.familiar {
            Some(familiar) => familiar.watched(),
            None => self.profile.references().iter().map(|of| (of.direction, of.name.clone())).collect(),
        }
    }

    /// Rows so far: the most of either direction.
    pub fn rows(&self) -> u64 {
        self.rows[0].max(self.rows[1])
    }

    /// Rows before which nothing is compared: a look of the e-detector, a pane, or for a familiar detector one.
    pub fn fewest_rows(&self) -> u64 {
        self.fewest_rows
    }

    fn observe_tensors(&mut self, direction: Direction, tensors: &[Tensor<'_>]) {
        if tensors.is_empty() {
            return;
        }
        let first = self.rows[direction as usize];
        if let Some(familiar) = &mut self.familiar {
            let mut alarms = Vec::new();
            tensors.iter().for_each(|tensor| familiar.observe(direction, tensor, first, &mut alarms));
            self.open.extend(alarms.into_iter().map(Event::Familiar));
        }
        self.monitor.observe(direction, tensors, 0);
        let full = tensors.iter().find(|tensor| !tensor.is_empty());
        self.rows[direction as usize] += full.map_or(0, Tensor::rows) as u64;
    }

    /// Moves the alarms whose pane is closed to those that can be taken; `whole` messages and tables also tell which features
    /// there are, chosen columns do not.
    fn hand_out(&mut self, whole: bool) {
        let events = self.monitor.take_events().into_iter();
        let raised = events.filter(|event| event.state == AlarmState::Raised && self.familiar.is_none());
        let raised = raised.filter(|event| whole || event.method != SCHEMA);
        self.open.extend(raised.map(Event::Live));
        let (rows, pane_rows) = (self.rows, self.pane_rows);
        let is_closed = |alarm: &mut Event| {
            alarm.row().div_ceil(pane_rows) * pane_rows <= rows[alarm.direction() as usize]
        };
        let raised = self.open.extract_if(.., is_closed).collect();
        self.tell(raised);
    }

    /// Adds the distances to alarms.
    fn tell(&mut self, raised: Vec<Event>) {
        if raised.is_empty() {
            return;
        }
        let features = self.monitor.snapshot(false).features;
        self.alarms.extend(raised.into_iter().map(|event| {
            let mut of_name = features.iter().filter(|feature| feature.name == event.feature());
            let feature = of_name.find(|feature| feature.direction == event.direction());
            Alarm { drift: feature.and_then(|feature| feature.drift.clone()), event }
        }));
    }
}

// === impl Event ===

impl Event {
    pub fn feature(&self) -> &str {
        match self {
            Event::Live(event) => &event.feature,
            Event::Familiar(alarm) => &alarm.feature,
        }
    }

    pub fn direction(&self) -> Direction {
        match self {
            Event::Live(event) => event.direction,
            Event::Familiar(alarm) => alarm.direction,
        }
    }

    /// Rows seen when it was raised.
    pub fn row(&self) -> u64 {
        match self {
            Event::Live(event) => event.row,
            Event::Familiar(alarm) => alarm.row,
        }
    }
}

// === impl Values ===

impl Values<'_> {
    fn rows(&self) -> usize {
        match self {
            Values::Numbers { columns, values } => values.len() / (*columns).max(1),
            Values::Texts(values) => values.len(),
        }
    }

    /// A range of the rows, as they would have come in a message.
    fn tensor<'n>(&'n self, name: &'n str, rows: Range<usize>) -> Result<Tensor<'n>, Defect> {
        match self {
            Values::Numbers { columns, values } => {
                let part = &values[rows.start * columns..rows.end * columns];
                let bytes = part.iter().flat_map(|value| value.to_le_bytes()).collect();
                let shape = if *columns == 1 { vec![rows.len()] } else { vec![rows.len(), *columns] };
                Tensor::new(name, Datatype::Fp64, shape, Data::Owned(bytes))
            }
            Values::Texts(values) => {
                let part = values[rows.clone()].to_vec();
                Tensor::new(name, Datatype::Bytes, vec![rows.len()], Data::Bytes(part))
            }
        }
    }
}

#[cfg(test)]
mod tests;
