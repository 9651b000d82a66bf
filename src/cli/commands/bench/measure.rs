//! Two kinds of work, timed in turn so that the noise of the machine strikes both: the ratio is what counts.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// One turn of each: long against a look at the clock, short against what else the machine does.
const TURN: Duration = Duration::from_millis(2);

/// What some work took, beside a `memcpy` of as many bytes in the same turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Seconds for one run, median over the turns: of this thread's CPU time where the system tells it, because what does
    /// not wait is only held up by other processes.
    pub(crate) seconds: f64,
    /// Time of the copy by time of the work, median over the turns.
    pub(crate) memcpy_share: f64,
    /// How often the work was done.
    pub(crate) runs: u64,
}

/// Times `work`, which moves `bytes` bytes from here to there each time, for about `duration`.
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

/// Seconds that a copy of so many bytes takes, in cache as far as they fit: median over some turns.
pub(crate) struct Copying {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Copying {
    pub(crate) fn new(bytes: usize) -> Self {
        // Not zeros: those would all be the same page.
        Self { from: vec![0x5a; bytes], to: vec![0xa5; bytes] }
    }

    pub(crate) fn run(&mut self) {
        self.to.copy_from_slice(black_box(&self.from));
        black_box(&mut self.to);
    }

    /// Seconds for one copy, measured for one turn.
    pub(crate) fn seconds(&mut self) -> f64 {
        let runs = runs_in_a_turn(|| self.run());
        turn(runs, || self.run())
    }
}

/// Seconds for one run.
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

/// The middle one; 0 of none.
pub(crate) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}

/// CPU time that this thread has used, where the system tells.
#[cfg(unix)]
pub(crate) fn thread_cpu() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// CPU time that this thread has used, where the system tells.
#[cfg(not(unix))]
pub(crate) fn thread_cpu() -> Option<Duration> {
    None
}

/// Keeps this thread, and those that it starts, on the first processor (`true`) or off it: a receiver and its sender
/// then do not share one. Does nothing where there is only one, or where the system has no such thing.
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
    // Without it the figures are noisier, not wrong.
    let _ = sched_setaffinity(None, &wanted);
}

/// Does nothing here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn stay_on_first_cpu(_: bool) {}
