//! Measures the live path over loopback, in turn with receivers that do less: `cargo bench --bench pipeline [WORD...]`
//!
//! Receivers run on the first processor alone, senders on the others. The ratios are those of performance.md, "To
//! reach" 2, 3 and 4. CPU time is that of the receiving thread. Work of the kernel on behalf of the sender is not
//! included, on neither side of a ratio.
//!
//! Runs only the benches whose name contains all words of the command line.

mod live;

use std::time::Duration;

use live::measure::median;
use live::{CAMERA, Done, GIGABIT, Pace, SATURATED, Sender, Work};

const ROUNDS: usize = 5;
const SIZE: (u32, u32) = (640, 352);

fn main() {
    // Skips `--bench`, which Cargo adds.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.iter().all(|word| name.contains(word.as_str()));
    for size in [SIZE, (1920, 1080)] {
        if wanted(&format!("saturated {}x{}", size.0, size.1)) {
            saturated(size);
        }
    }
    for cameras in [1, 16, 64] {
        if wanted(&format!("cameras {cameras}")) {
            many(cameras);
        }
    }
    if wanted("gigabit") {
        gigabit();
    }
}

/// Measurements of one receiver, one per round, and totals.
struct Figures {
    fps: Vec<f64>,
    cpu_us: Vec<f64>,
    lost: u64,
    frames: u64,
}

impl Figures {
    fn new() -> Self {
        Self { fps: Vec::new(), cpu_us: Vec::new(), lost: 0, frames: 0 }
    }

    /// Adds a round in which `sent` frames were sent.
    fn add(&mut self, done: &Done, sent: u64) {
        self.fps.push(done.frames as f64 / done.seconds);
        self.cpu_us.push(done.cpu_us);
        self.frames += done.frames;
        if !done.stats.is_empty() {
            let confirmed: u64 = done.stats.iter().map(|stats| stats.frames.confirmed).sum();
            let missing: u64 = done.stats.iter().map(|stats| stats.frames.missing).sum();
            self.lost += sent.saturating_sub(confirmed).max(missing);
        }
    }

    /// Prints a line with the medians, and returns the medians of frames per second and of CPU time per frame in
    /// microseconds.
    fn line(&mut self, name: &str) -> (f64, f64) {
        let (fps, cpu) = (median(&mut self.fps), median(&mut self.cpu_us));
        println!(
            "  {name:<44} {fps:>8.0} frames/s {cpu:>8.1} us CPU per frame {:>6} lost of {}",
            self.lost, self.frames
        );
        (fps, cpu)
    }
}

/// Measures one connection with three receivers in turn: read only, parse, and convert to pictures with boxes.
fn rounds(size: (u32, u32), pace: Pace, each: Duration) -> [Figures; 3] {
    let (mut alone, mut parsed, mut pictures) = (Figures::new(), Figures::new(), Figures::new());
    let still = live::still(size);
    for _ in 0..ROUNDS {
        let sender = Sender::start(&still, pace, each);
        let done = live::read_exact(sender.address, live::message_len(&still));
        alone.add(&done, sender.sent().len() as u64);
        for (work, figures) in [(Work::Nothing, &mut parsed), (Work::Pictures, &mut pictures)] {
            let sender = Sender::start(&still, pace, each);
            let done = live::sessions(&[sender.address], work);
            figures.add(&done, sender.sent().len() as u64);
        }
    }
    [alone, parsed, pictures]
}

/// One connection with a sender that never waits.
fn saturated(size: (u32, u32)) {
    println!("saturated {}x{}", size.0, size.1);
    let [mut alone, mut parsed, mut pictures] = rounds(size, SATURATED, Duration::from_millis(600));
    let (_, alone) = alone.line("receive only (read_exact)");
    parsed.line("receive, parse");
    let (_, pictures) = pictures.line("receive, parse, convert, boxes");
    println!("  CPU, pictures / receive only: {:.2} (target: <= 1.5 at 640x352)", pictures / alone);
}

/// `count` cameras at 40 frames per second on one core.
fn many(count: u32) {
    println!("cameras {count} at 40 fps on one core, {}x{}", SIZE.0, SIZE.1);
    let still = live::still(SIZE);
    let (mut alone, mut parsed, mut pictures) = (Figures::new(), Figures::new(), Figures::new());
    let cameras = || {
        // Each is connected when the one before has started, which spreads their frames over the frame interval.
        let senders: Vec<_> = (0..count).map(|_| Sender::start(&still, CAMERA, Duration::from_secs(3))).collect();
        let addresses: Vec<_> = senders.iter().map(|sender| sender.address).collect();
        (senders, addresses)
    };
    let sent = |senders: Vec<Sender>| senders.into_iter().map(|sender| sender.sent().len() as u64).sum();
    for _ in 0..3 {
        let (senders, addresses) = cameras();
        let done = live::read_each(&addresses, live::message_len(&still));
        alone.add(&done, sent(senders));
        for (work, figures) in [(Work::Nothing, &mut parsed), (Work::Pictures, &mut pictures)] {
            let (senders, addresses) = cameras();
            let done = live::sessions(&addresses, work);
            figures.add(&done, sent(senders));
        }
    }
    let (_, alone) = alone.line("receive only (read, one buffer per camera)");
    let (_, parsed) = parsed.line("receive, parse");
    let (_, pictures) = pictures.line("receive, parse, convert, boxes");
    println!(
        "  CPU, pictures / receive only: {:.2}, pictures / parse: {:.2} (target: <= 1.15 with 64 cameras)",
        pictures / alone,
        pictures / parsed
    );
}

/// One camera at 40 frames per second, in packets at the rate of Gigabit Ethernet.
fn gigabit() {
    println!("gigabit: one camera at 40 fps, a packet of 1448 bytes every 12.3 us, {}x{}", SIZE.0, SIZE.1);
    let [mut alone, mut parsed, mut pictures] = rounds(SIZE, GIGABIT, Duration::from_secs(2));
    let (_, alone) = alone.line("receive only (read_exact)");
    let (_, parsed) = parsed.line("receive, parse");
    let (_, pictures) = pictures.line("receive, parse, convert, boxes");
    println!(
        "  CPU, parse / read_exact: {:.2} (target: <= 0.45), pictures / read_exact: {:.2}",
        parsed / alone,
        pictures / alone
    );
}
