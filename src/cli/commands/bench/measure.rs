//! Times two kinds of work in turn, so that noise of the machine affects both and their ratio stays meaningful.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// The length of one turn: long compared to reading the clock, short compared to other activity of the machine.
const TURN: Duration = Duration::from_millis(2);

/// The time of some work, and of a `memcpy` of as many bytes in the same turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Seconds per run, median over the turns. CPU time of this thread if the system reports it: the work does not
    /// wait, so other processes alone make the difference to wall-clock time.
    pub(crate) seconds: f64,
    /// Time of the copy divided by the time of the work, median over the turns.
    pub(crate) memcpy_share: f64,
    /// Number of runs.
    pub(crate) runs: u64,
}

/// Times `work`, which moves `bytes` bytes per run, for about `duration`.
pub(crate) fn beside_memcpy(bytes: usize, duration: Duration, mut work: impl FnMut()) -> Timing {
    let mut copy = Copying::new(bytes);
    let copies = runs_in_a_turn(|| copy.run());
    let works = runs_in_a_turn(&mut work);
    let (mut took, mut ratios) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while took.len() < 5 || start.elapsed() < duration {
        let copied = turn(copies, || copy.run());
        let worked = turn(works, &mut work);
        took.push(worked);
        ratios.push(copied / worked);
    }
    let runs = u64::from(works) * took.len() as u64;
    Timing { seconds: median(&mut took), memcpy_share: median(&mut ratios), runs }
}

/// A copy between two buffers, for comparison.
pub(crate) struct Copying {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Copying {
    pub(crate) fn new(bytes: usize) -> Self {
        // Not zeros: untouched zero pages share one physical page.
        Self { from: vec![0x5a; bytes], to: vec![0xa5; bytes] }
    }

    pub(crate) fn run(&mut self) {
        self.to.copy_from_slice(black_box(&self.from));
        black_box(&mut self.to);
    }

    /// Returns the seconds per copy, measured for one turn.
    pub(crate) fn seconds(&mut self) -> f64 {
        let runs = runs_in_a_turn(|| self.run());
        turn(runs, || self.run())
    }
}

/// Returns the seconds per run.
fn turn(runs: u32, mut run: impl FnMut()) -> f64 {
    let (start, cpu) = (Instant::now(), thread_cpu());
    for _ in 0..runs {
        run();
    }
    let used = thread_cpu().zip(cpu).map_or_else(|| start.elapsed(), |(now, then)| now.saturating_sub(then));
    used.as_secs_f64() / f64::from(runs)
}

fn runs_in_a_turn(mut run: impl FnMut()) -> u32 {
    run();
    let one = turn(3, run);
    (TURN.as_secs_f64() / one).ceil().clamp(1.0, 1e6) as u32
}

/// Returns the median, or 0 of no numbers.
pub(crate) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}

/// Returns the CPU time of this thread, if the system reports it.
#[cfg(unix)]
pub(crate) fn thread_cpu() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// Returns the CPU time of this thread, if the system reports it.
#[cfg(not(unix))]
pub(crate) fn thread_cpu() -> Option<Duration> {
    None
}

/// Binds this thread, and those that it starts, to the first processor (`true`) or to the others, so that a receiver
/// and its sender do not share one. Does nothing on a single processor, or if the system does not support it.
#[cfg(target_os = "linux")]
pub(crate) fn stay_on_first_cpu(first: bool) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let mut wanted = CpuSet::new();
    match cpus.as_slice() {
        [here, others @ ..] if !others.is_empty() => {
            for cpu in if first { std::slice::from_ref(here) } else { others } {
                wanted.set(*cpu);
            }
        }
        _ => return,
    }
    // If it fails, the figures are noisier, but not wrong.
    let _ = sched_setaffinity(None, &wanted);
}

/// Does nothing on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn stay_on_first_cpu(_: bool) {}
