//! False alarms on rows that have not changed: ten shapes, three sizes of the reference, three autocorrelations. Every
//! setting sees several references, drawn like the rows.

use super::random::Random;
use super::source::{Process, Shape, Tables, shapes};
use pilotfish_core::detect::Mark;
use pilotfish_core::detect::edetector::{EDetector, Pane, Plan};
use std::sync::Arc;

/// Rows between false alarms, and in a pane.
const ARL: f64 = 1e5;
const PANE: u64 = 100;
const REFERENCE_ROWS: [usize; 3] = [1_000, 10_000, 100_000];
const AUTOCORRELATIONS: [f64; 3] = [0.0, 0.5, 0.8];
const REFERENCES: u64 = 4;

struct Setting<'s> {
    shape: &'s Shape,
    tables: &'s Tables,
    reference_rows: usize,
    rho: f64,
    tolerance: f64,
}

/// Prints the table; whether every setting kept the nominal rate.
pub fn table(rows: u64) -> bool {
    let (shapes, tables) = (shapes(), Tables::new());
    let settings = (shapes.len() * REFERENCE_ROWS.len() * AUTOCORRELATIONS.len()) as u64;
    let each = (rows / settings / PANE / REFERENCES).max(1) * PANE * REFERENCES;
    println!(
        "False alarms in {each} rows per setting, nominal at most one in {ARL} rows (tolerance 0, panes of {PANE})"
    );
    print!("{:>14}", "reference");
    REFERENCE_ROWS.iter().for_each(|rows| print!(" |{rows:^20}"));
    print!("\n{:>14}", "AR(1)");
    REFERENCE_ROWS.iter().for_each(|_| {
        print!(" |");
        AUTOCORRELATIONS.iter().for_each(|rho| print!("{rho:>6.1}"));
        print!("  ");
    });
    println!();
    let (mut alarms, mut kept) = (0, true);
    for (number, shape) in shapes.iter().enumerate() {
        print!("{:>14}", shape.name);
        for reference_rows in REFERENCE_ROWS {
            print!(" |");
            for rho in AUTOCORRELATIONS {
                let setting = Setting { shape, tables: &tables, reference_rows, rho, tolerance: 0.0 };
                let found = setting.alarms(each, number as u64);
                print!("{found:>6}");
                alarms += found;
                let expected = each as f64 / ARL;
                kept &= found as f64 <= expected + 3.0 * expected.sqrt() + 3.0;
            }
            print!("  ");
        }
        println!();
    }
    let total = each * settings;
    let rate =
        if alarms == 0 { "none".into() } else { format!("one in {:.3e}", total as f64 / alarms as f64) };
    println!("{alarms} alarms in {total} rows: {rate}; at the nominal rate {:.0}\n", total as f64 / ARL);
    kept
}

// === impl Setting ===

impl Setting<'_> {
    fn alarms(&self, rows: u64, seed: u64) -> u64 {
        let mut random = Random(seed << 32 | self.reference_rows as u64 ^ self.rho.to_bits());
        (0..REFERENCES).map(|_| self.alarms_of_one(rows / REFERENCES, &mut random)).sum()
    }

    fn alarms_of_one(&self, rows: u64, random: &mut Random) -> u64 {
        let mut process = Process::new(self.tables, self.rho, random);
        let reference = self.shape.reference(self.reference_rows, &mut process, random);
        let cells = self.shape.cells(&reference.bins);
        let plan = Plan::new(&reference.bins, reference.autocorrelation_time, self.tolerance, 0.01);
        let fresh = EDetector::new(Arc::new(plan));
        let (mut detector, mut alarms) = (fresh.clone(), 0);
        let mut counts = vec![0; reference.bins.cells().len()];
        for pane in 0..rows / PANE {
            counts.fill(0);
            (0..PANE).for_each(|_| counts[usize::from(cells[process.next(random)])] += 1);
            let mark = |pane: u64| Mark { row: pane * PANE, call: 0 };
            let (start, end) = (mark(pane), mark(pane + 1));
            detector.update(&Pane { counts: &counts, start, end, stake: PANE as f64 });
            if detector.capital() >= ARL {
                alarms += 1;
                detector = fresh.clone();
            }
        }
        alarms
    }
}
