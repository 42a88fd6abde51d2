//! How soon twenty changes are found, beside Lorden's limit: no detector with that time between false alarms can find a
//! change sooner, on average, than after ln(ARL) / KL(after ‖ before) rows (Lorden, Annals of Mathematical Statistics
//! 1971), even if it knew both distributions.

use super::random::Random;
use super::source::{cell, label, profile, reference};
use pilotfish_core::detect::Mark;
use pilotfish_core::detect::edetector::bets::Odds;
use pilotfish_core::detect::edetector::{EDetector, Pane, Plan};
use pilotfish_core::monitor::{Monitor, MonitorConfig};
use pilotfish_core::tensor::{Data, Datatype, Direction, Tensor};
use std::f64::consts::TAU;
use std::sync::Arc;

const ARL: f64 = 1e6;
const PANE: usize = 10;
const REFERENCE_ROWS: usize = 100_000;
const DELTA: f64 = 0.01;
/// About as many as a numeric feature of 32 bins has.
const DIRECTIONS: f64 = 200.0;
/// Panes before the change.
const BEFORE: usize = 200;
const RUNS: u64 = 40;
const ROWS_MAX: usize = 200_000;

/// A distribution: values and their probabilities.
#[derive(Clone)]
struct Distribution {
    values: Vec<f64>,
    shares: Vec<f64>,
    /// Summed up, for drawing.
    sums: Vec<f64>,
    categories: bool,
}

struct Change {
    name: &'static str,
    before: Distribution,
    after: Distribution,
}

pub fn table() {
    println!(
        "Delay in rows, mean of {RUNS} runs: ARL {ARL}, panes of {PANE}, reference of {REFERENCE_ROWS} rows, tolerance 0, \
         and the median error of its date; and with the default tolerance of 0.0002"
    );
    println!(
        "{:>30} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6} {:>6} {:>6} {:>6}  {:<16} {:>9} {:>6}",
        "change",
        "KL",
        "limit",
        "in bins",
        "certain",
        "one bet",
        "delay",
        "ratio",
        "bins",
        "missed",
        "dated",
        "found as",
        "tolerant",
        "missed"
    );
    for change in changes() {
        let divergence = change.after.divergence(&change.before);
        let limit = ARL.ln() / divergence;
        let strict = measure(&change, 0.0);
        let tolerant = measure(&change, 0.000_2);
        println!(
            "{:>30} {divergence:>9.5} {limit:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>6.2} {:>6.2} {:>6} {:>6}  {:<16} {:>9.0} {:>6}",
            change.name,
            strict.binned_limit,
            strict.certain_limit,
            strict.bet_limit,
            strict.delay,
            strict.delay / limit,
            strict.delay / strict.binned_limit,
            strict.missed,
            strict.dated,
            strict.shape,
            tolerant.delay,
            tolerant.missed
        );
    }
}

/// The same changes as the live monitor finds them, which looks now and then.
pub fn live_table() {
    let config = Arc::new(MonitorConfig::default());
    println!(
        "Delay in rows of the live monitor at its defaults (ARL {}, panes of {}), mean of {RUNS} runs with the change after {} to {} rows",
        config.alarm.arl,
        config.pane_rows,
        live_change(0),
        live_change(RUNS - 1)
    );
    println!("{:>30} {:>8} {:>8} {:>6} {:>6}", "change", "limit", "delay", "ratio", "missed");
    let mut logarithms = Vec::new();
    for change in changes() {
        let found: Vec<u64> = (0..RUNS).filter_map(|run| live_delay(&change, &config, run)).collect();
        let delay = found.iter().sum::<u64>() as f64 / found.len() as f64;
        let limit = (config.alarm.arl as f64).ln() / change.after.divergence(&change.before);
        let (ratio, missed) = (delay / limit, RUNS - found.len() as u64);
        println!("{:>30} {limit:>8.0} {delay:>8.0} {ratio:>6.2} {missed:>6}", change.name);
        logarithms.push(delay.ln());
    }
    let mean = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
    println!("{:>30} {:>8} {:>8.0}", "geometric mean", "", mean.exp());
}

/// Rows before the change: anywhere in a pane.
fn live_change(run: u64) -> u64 {
    3_000 + 37 * run
}

/// Rows until the change is found; `None` when it is not, or something is found before.
fn live_delay(change: &Change, config: &Arc<MonitorConfig>, run: u64) -> Option<u64> {
    const MESSAGE: u64 = 10;
    let (mut learned, mut random) = (Random(11), Random(1_000 + run));
    let rows: Vec<f64> = (0..REFERENCE_ROWS).map(|_| change.before.draw(&mut learned)).collect();
    let mut monitor = Monitor::new(Arc::clone(config), Some(profile(&rows, change.before.categories)));
    let start = live_change(run);
    for first in (0..start + ROWS_MAX as u64).step_by(MESSAGE as usize) {
        let mut draw =
            |row| if row < start { change.before.draw(&mut random) } else { change.after.draw(&mut random) };
        let values: Vec<f64> = (first..first + MESSAGE).map(&mut draw).collect();
        let labels: Vec<Vec<u8>> = values.iter().map(|&value| label(value)).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (datatype, data) = if change.before.categories {
            (Datatype::Bytes, Data::Bytes(labels.iter().map(Vec::as_slice).collect()))
        } else {
            (Datatype::Fp64, Data::Raw(&bytes))
        };
        let tensor = Tensor::new("x", datatype, vec![values.len()], data).expect("the shape fits");
        monitor.observe(Direction::Input, &[tensor], 0);
        if let Some(event) = monitor.take_events().first() {
            return event.row.checked_sub(start);
        }
    }
    None
}

struct Measure {
    delay: f64,
    /// Lorden's limit for those who see only the bins, and share of no cell below one row of the reference.
    binned_limit: f64,
    /// The same where no cell can be taken for rarer than the reference, in doubt about so many directions, allows.
    certain_limit: f64,
    /// ln(ARL) over what the best bet wins per row.
    bet_limit: f64,
    missed: u64,
    /// Rows between the change and where it is dated, median.
    dated: u64,
    shape: String,
}

fn measure(change: &Change, tolerance: f64) -> Measure {
    let mut random = Random(11);
    let rows: Vec<f64> = (0..REFERENCE_ROWS).map(|_| change.before.draw(&mut random)).collect();
    let reference = reference(&rows, change.before.categories);
    let cells = |distribution: &Distribution| -> Vec<usize> {
        distribution.values.iter().map(|&value| cell(&reference.bins, value)).collect()
    };
    let (before, after) = (cells(&change.before), cells(&change.after));
    let plan = Plan::new(&reference.bins, reference.autocorrelation_time, tolerance, DELTA);
    let won = best_growth(&plan.odds(1.0), &cell_shares(&change.after, &after, reference.bins.cells().len()));
    let fresh = EDetector::new(Arc::new(plan));
    let (mut delays, mut missed, mut shapes, mut errors) = (0.0, 0, Vec::new(), Vec::new());
    for run in 0..RUNS {
        let mut random = Random(1_000 + run);
        let mut detector = fresh.clone();
        let mut counts = vec![0; reference.bins.cells().len()];
        let mut pane = 0;
        let found = loop {
            let (distribution, cells) =
                if pane < BEFORE { (&change.before, &before) } else { (&change.after, &after) };
            counts.fill(0);
            (0..PANE).for_each(|_| counts[cells[distribution.index(&mut random)]] += 1);
            let mark = |pane: usize| Mark { row: (pane * PANE) as u64, call: 0 };
            let (start, end) = (mark(pane), mark(pane + 1));
            detector.update(&Pane { counts: &counts, start, end, stake: PANE as f64 });
            pane += 1;
            if detector.capital() >= ARL && pane > BEFORE {
                break true;
            }
            if pane * PANE > ROWS_MAX {
                break false;
            }
        };
        missed += u64::from(!found);
        delays += ((pane - BEFORE) * PANE) as f64;
        let onset = detector.finding().map_or(0, |finding| finding.onset.estimate.row);
        errors.push(onset.abs_diff((BEFORE * PANE) as u64));
        shapes.extend(detector.finding().map(|finding| finding.shape.to_string()));
    }
    let limit = |least: f64| {
        ARL.ln() / binned_divergence(change, &before, &after, reference.bins.cells().len(), least)
    };
    let rows = REFERENCE_ROWS as f64;
    let unlikely = (DIRECTIONS / DELTA).ln() / rows;
    errors.sort_unstable();
    let dated = errors.get(errors.len() / 2).copied().unwrap_or(0);
    Measure {
        binned_limit: limit(1.0 / rows),
        certain_limit: limit(unlikely),
        bet_limit: ARL.ln() / won,
        dated,
        delay: delays / RUNS as f64,
        missed,
        shape: most_frequent(shapes),
    }
}

/// What the best bet wins per row, in nats.
fn best_growth(odds: &Odds, shares: &[f64]) -> f64 {
    const ROWS: f64 = 1e9;
    let counts: Vec<u64> = shares.iter().map(|share| (share * ROWS) as u64).collect();
    odds.gains(&counts).into_iter().fold(0.0, f64::max) / ROWS
}

fn cell_shares(distribution: &Distribution, cell_of: &[usize], cells: usize) -> Vec<f64> {
    let mut shares = vec![0.0; cells];
    distribution.shares.iter().zip(cell_of).for_each(|(share, &cell)| shares[cell] += share);
    shares
}

/// KL(after ‖ before) of the cells that values are counted in, of which none counts as rarer than `least` before.
fn binned_divergence(change: &Change, before: &[usize], after: &[usize], cells: usize, least: f64) -> f64 {
    let (p, q) = (cell_shares(&change.before, before, cells), cell_shares(&change.after, after, cells));
    let pairs = q.iter().zip(&p).filter(|&(&q, _)| q > 0.0);
    pairs.map(|(&q, &p)| q * (q / p.max(least)).ln()).sum()
}

fn most_frequent(mut words: Vec<String>) -> String {
    words.sort();
    let runs = words.chunk_by(|a, b| a == b);
    runs.max_by_key(|run| run.len()).map_or_else(String::new, |run| run[0].clone())
}

// === the changes ===

fn changes() -> Vec<Change> {
    let normal = |mean: f64, deviation: f64| move |x: f64| phi((x - mean) / deviation) / deviation;
    let continuous = |name, after: &dyn Fn(f64) -> f64| Change {
        name,
        before: Distribution::of_density(&phi),
        after: Distribution::of_density(after),
    };
    let mixed = |share: f64, mean: f64, deviation: f64| {
        move |x: f64| (1.0 - share) * phi(x) + share * normal(mean, deviation)(x)
    };
    let student = |x: f64| 0.375 / (1.0 + 0.25 * x * x).powf(2.5);
    let skewed = |x: f64| {
        let (shape, location, scale) = (3.0f64, -1.14, 1.53);
        let z = (x - location) / scale;
        2.0 / scale * phi(z) / (1.0 + (-1.702 * shape * z).exp())
    };
    let shares = |shares: &[f64]| Distribution::of_shares(shares, true);
    let discrete =
        |name, before: &[f64], after: &[f64]| Change { name, before: shares(before), after: shares(after) };
    let numbers = |name, before: &[f64], after: &[f64], values: &[f64]| Change {
        name,
        before: Distribution { values: values.to_vec(), ..Distribution::of_shares(before, false) },
        after: Distribution { values: values.to_vec(), ..Distribution::of_shares(after, false) },
    };
    let missing = |name, before: f64, after: f64| {
        let with = |share: f64| Distribution::of_density(&phi).with_missing(share);
        Change { name, before: with(before), after: with(after) }
    };
    // What was never seen in so many rows cannot be told from one row in as many.
    let never = 1.0 / REFERENCE_ROWS as f64;
    vec![
        continuous("mean +0.1 sd", &normal(0.1, 1.0)),
        continuous("mean +0.25 sd", &normal(0.25, 1.0)),
        continuous("mean -0.25 sd", &normal(-0.25, 1.0)),
        continuous("mean +0.5 sd", &normal(0.5, 1.0)),
        continuous("mean +1 sd", &normal(1.0, 1.0)),
        continuous("sd x 1.2", &normal(0.0, 1.2)),
        continuous("sd x 1.5", &normal(0.0, 1.5)),
        continuous("sd x 0.8", &normal(0.0, 0.8)),
        continuous("sd x 0.5", &normal(0.0, 0.5)),
        continuous("tails of Student t, 4", &student),
        continuous("2 % outliers at +4 sd", &mixed(0.02, 4.0, 0.5)),
        continuous("10 % in a new mode at +1 sd", &mixed(0.1, 1.0, 0.05)),
        continuous("two modes", &|x| 0.5 * normal(-0.8, 0.6)(x) + 0.5 * normal(0.8, 0.6)(x)),
        continuous("skewed, same mean and sd", &skewed),
        discrete("category 10 % to 15 %", &[0.1; 10], &[[0.85 / 9.0; 9].as_slice(), &[0.15]].concat()),
        discrete("category of 10 % vanishes", &[0.1; 10], &[[1.0 / 9.0; 9].as_slice(), &[0.0]].concat()),
        discrete(
            "new category, 2 %",
            &[[0.1 * (1.0 - never); 10].as_slice(), &[never]].concat(),
            &[[0.098; 10].as_slice(), &[0.02]].concat(),
        ),
        numbers("binary 20 % to 30 %", &[0.8, 0.2], &[0.7, 0.3], &[0.0, 1.0]),
        missing("missing 10 % to 15 %", 0.10, 0.15),
        missing("missing, new, 2 %", never, 0.02),
    ]
}

fn phi(x: f64) -> f64 {
    (-0.5 * x * x).exp() / TAU.sqrt()
}

// === impl Distribution ===

impl Distribution {
    fn of_density(density: &dyn Fn(f64) -> f64) -> Distribution {
        const STEP: f64 = 0.001;
        let values: Vec<f64> = (-12_000..=12_000).map(|i| f64::from(i) * STEP).collect();
        let shares: Vec<f64> = values.iter().map(|&value| density(value) * STEP).collect();
        Distribution::new(values, shares, false)
    }

    fn of_shares(shares: &[f64], categories: bool) -> Distribution {
        Distribution::new((0..shares.len()).map(|i| i as f64).collect(), shares.to_vec(), categories)
    }

    fn with_missing(mut self, share: f64) -> Distribution {
        self.shares.iter_mut().for_each(|other| *other *= 1.0 - share);
        self.shares.push(share);
        self.values.push(f64::NAN);
        Distribution::new(self.values, self.shares, false)
    }

    fn new(values: Vec<f64>, mut shares: Vec<f64>, categories: bool) -> Distribution {
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);
        let sums = shares
            .iter()
            .scan(0.0, |sum, share| {
                *sum += share;
                Some(*sum)
            })
            .collect();
        Distribution { values, shares, sums, categories }
    }

    fn index(&self, random: &mut Random) -> usize {
        let u = random.uniform();
        self.sums.partition_point(|&sum| sum <= u).min(self.values.len() - 1)
    }

    fn draw(&self, random: &mut Random) -> f64 {
        self.values[self.index(random)]
    }

    /// KL(self ‖ other), over the same values.
    fn divergence(&self, other: &Distribution) -> f64 {
        let pairs = self.shares.iter().zip(&other.shares).filter(|&(&q, _)| q > 0.0);
        pairs.map(|(&q, &p)| q * (q / p).ln()).sum()
    }
}
