//! False alarms on rows that have not changed: ten shapes, three sizes of the reference, three autocorrelations. Every
//! setting sees several references, drawn like the rows.
//!
//! Rows go through the live monitor, message by message: panes, looks into them, settling, the
//! autocorrelation time seen, judgement. After an alarm a fresh monitor takes over.

use super::random::Random;
use super::source::{Process, Rows, Shape, Tables, shapes};
use pilotfish_core::detect::AlarmState;
use pilotfish_core::monitor::{AlarmConfig, Monitor, MonitorConfig};
use pilotfish_core::profile::Profile;
use pilotfish_core::tensor::Direction;
use std::io::Write;
use std::sync::Arc;

/// Rows between false alarms, and in a message.
const ARL: u64 = 100_000;
const MESSAGE: usize = 1_000;
const REFERENCE_ROWS: [usize; 3] = [1_000, 10_000, 100_000];
const AUTOCORRELATIONS: [f64; 3] = [0.0, 0.5, 0.8];
const REFERENCES: u64 = 4;

struct Setting<'s> {
    shape: &'s Shape,
    tables: &'s Tables,
    reference_rows: usize,
    rho: f64,
    config: Arc<MonitorConfig>,
}

/// Prints the table of all shapes, or of the one with this name; whether every setting kept the nominal rate.
pub fn table(rows: u64, tolerance: f64, only: Option<&str>, pane_rows: u32) -> bool {
    let (mut shapes, tables) = (shapes(), Tables::new());
    shapes.retain(|shape| only.is_none_or(|name| [shape.name, "all"].contains(&name)));
    let settings = (shapes.len() * REFERENCE_ROWS.len() * AUTOCORRELATIONS.len()).max(1) as u64;
    let message = MESSAGE as u64;
    let each = (rows / settings / message / REFERENCES).max(1) * message * REFERENCES;
    let config = config(tolerance, pane_rows);
    println!(
        "\nFalse alarms of the live monitor in {each} rows per setting, nominal at most one in {ARL} rows (tolerance \
         {tolerance}, panes of {pane_rows} rows, a look every 120)"
    );
    heading();
    let (mut alarms, mut kept) = (0, true);
    for (number, shape) in shapes.iter().enumerate() {
        print!("{:>14}", shape.name);
        for reference_rows in REFERENCE_ROWS {
            print!(" |");
            for rho in AUTOCORRELATIONS {
                let config = Arc::clone(&config);
                let setting = Setting { shape, tables: &tables, reference_rows, rho, config };
                let found = setting.alarms(each, number as u64);
                print!("{found:>6}");
                let _best_effort = std::io::stdout().flush();
                alarms += found;
                let expected = each as f64 / ARL as f64;
                kept &= found as f64 <= expected + 3.0 * expected.sqrt() + 3.0;
            }
            print!("  ");
        }
        println!();
    }
    let total = each * settings;
    let rate =
        if alarms == 0 { "none".into() } else { format!("one in {:.3e}", total as f64 / alarms as f64) };
    println!("{alarms} alarms in {total} rows: {rate}; at the nominal rate {:.0}", total as f64 / ARL as f64);
    kept
}

fn config(tolerance: f64, pane_rows: u32) -> Arc<MonitorConfig> {
    let alarm = AlarmConfig { arl: ARL, tolerance, ..AlarmConfig::default() };
    Arc::new(MonitorConfig { alarm, pane_rows, ..MonitorConfig::default() })
}

fn heading() {
    print!("{:>14}", "reference");
    REFERENCE_ROWS.iter().for_each(|rows| print!(" |{rows:^20}"));
    print!("\n{:>14}", "AR(1)");
    REFERENCE_ROWS.iter().for_each(|_| {
        print!(" |");
        AUTOCORRELATIONS.iter().for_each(|rho| print!("{rho:>6.1}"));
        print!("  ");
    });
    println!();
}

// === impl Setting ===

impl Setting<'_> {
    fn alarms(&self, rows: u64, seed: u64) -> u64 {
        let mut random = Random(seed << 32 | self.reference_rows as u64 ^ self.rho.to_bits());
        (0..REFERENCES).map(|_| self.alarms_of_one(rows / REFERENCES, &mut random)).sum()
    }

    fn alarms_of_one(&self, rows: u64, random: &mut Random) -> u64 {
        let mut process = Process::new(self.tables, self.rho, random);
        let profile = self.shape.profile(self.reference_rows, &mut process, random);
        let (mut monitor, mut alarms) = (self.monitor(&profile), 0);
        let mut message = Rows::default();
        for _ in 0..rows / MESSAGE as u64 {
            message.draw(self.shape, MESSAGE, &mut process, random);
            monitor.observe(Direction::Input, &[message.tensor()], 0);
            if monitor.take_events().iter().any(|event| event.state == AlarmState::Raised) {
                alarms += 1;
                monitor = self.monitor(&profile);
            }
        }
        alarms
    }

    fn monitor(&self, profile: &Arc<Profile>) -> Monitor {
        Monitor::new(Arc::clone(&self.config), Some(Arc::clone(profile)))
    }
}
