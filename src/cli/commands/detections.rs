//! `oaktap detections`: prints the detections of each frame as one line of JSON.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::convert::DepthMap;
use oaktap::hub::{Budget, RecvTimeoutError};
use oaktap::live::{self, Sink as _};
use oaktap::overlay::Style;
use oaktap::sink::detections::{Detected, DetectionRecord, Detections, MeasurementRecord};
use oaktap::sink::record::RecordersMonitor;
use oaktap::source::{Measurement, Session};
use oaktap::units::count;

use super::view::separated;
use crate::cli::fleet::FleetArgs;
use crate::cli::layout_note::Explained;
use crate::cli::present::{self, ExitReason};
use crate::cli::receiving::Receiving;
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap detections 192.168.1.50 --only person --threshold 60%
  oaktap detections front=192.168.1.50 back=192.168.1.51 | jq .camera
  oaktap detections 'file:evening.mcap?speed=max' > evening.jsonl
  oaktap detections sim: -n 3";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print a summary with all frame counts as one more line of JSON at the end"))]
pub(crate) struct DetectionsArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    /// Add the SHA-256 of each payload
    #[arg(long)]
    hash: bool,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    pub(crate) until: Until,
}

/// Receives, prints, and summarizes.
pub(crate) fn run(ctx: &Ctx, args: &DetectionsArgs) -> anyhow::Result<Outcome> {
    let style = args.source.style()?;
    let cameras = live::cameras(&separated(&args.fleet.sources()?));
    let mut sinks = Vec::new();
    let budget = Budget::new(args.source.waiting_bytes());
    let all = Detections::default().with_payloads(args.hash).with_budget(budget);
    for camera in &cameras {
        let mut detections = all.sibling();
        detections.connect(camera)?;
        sinks.push(detections);
    }
    // Frames that wait have no payload, so they take up memory of their own.
    let own = if args.hash { 0 } else { args.source.waiting_bytes() };
    let source = args.source.with_buffer(args.source.buffer - own);
    let receiving = Receiving::start(ctx, cameras, &source, &args.until, RecordersMonitor::default())?;
    let printed = receiving.consume(sinks, |session, detections| print(&receiving, session, detections, args, &style));
    let not_printed: Vec<_> = receiving
        .sessions()
        .iter()
        .zip(&printed)
        .filter_map(|(session, printed)| exit_reason(session, printed))
        .collect();
    let outcome = receiving.finish(ctx, &[]);
    // Last, because it says what to do.
    present::exit_reasons(&not_printed);
    let outcome = outcome?;
    printed.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    Ok(if not_printed.is_empty() { outcome } else { Outcome::Lossy })
}

/// Returns why the program exits with code 3 because of the frames of a camera that were received but not printed. Frames of a
/// recording are still in it.
fn exit_reason(session: &Session, printed: &anyhow::Result<u64>) -> Option<ExitReason> {
    let left = printed.as_ref().ok().filter(|left| **left > 0 && session.spec().recording().is_none())?;
    let frames = count(*left, "frame was", "frames were");
    let text = format!(
        "{}: exit code 3: {frames} received but not printed, because standard output was not read fast enough",
        session.name()
    );
    let help = "write to a file (`> FILE`), or let the program that reads the output read faster".into();
    Some(ExitReason { text, help, camera: None })
}

/// Prints the frames of one camera until a stop condition holds, and then those that wait. Then the lane ends, so that later
/// frames do not count as lost. Returns the number of frames that were received until then but not printed.
fn print(
    receiving: &Receiving,
    session: &Session,
    mut detections: Detections,
    args: &DetectionsArgs,
    style: &Style,
) -> anyhow::Result<u64> {
    let mut explained = Explained::new(session.name());
    let mut left = args.until.frames.unwrap_or(u64::MAX);
    let mut not_printed = 0;
    let mut measured = Measured::new(session);
    while left > 0 {
        let is_over = receiving.over();
        if is_over && args.until.frames.is_none() {
            left = left.min(measured.waiting(&detections));
        } else if is_over {
            break;
        }
        let (number, detected, is_covered) =
            match measured.recv_timeout(&mut detections, receiving.stop_check_interval(), is_over) {
                Ok(numbered) => numbered,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
        let camera = Some(session.name());
        let line = match &detected {
            Detected::Frame(detected) => {
                explained.frame(&detected.frame);
                let sha256 = args.hash.then(|| present::sha256(detected.frame.payload()));
                let record = DetectionRecord { camera, sha256, ..DetectionRecord::new(detected, number, style) };
                if is_covered {
                    present::json(&record.measured_in(&mut measured.depths))?
                } else {
                    present::json(&record)?
                }
            }
            Detected::Measurement(Measurement { topic, value, stale }, received) => {
                present::json(&MeasurementRecord {
                    camera,
                    seq: number,
                    arrival_unix_ns: received.unix_ns,
                    topic,
                    value: *value,
                    stale: *stale,
                })?
            }
        };
        match present::line(line.as_bytes()) {
            Ok(()) => left = left.saturating_sub(u64::from(matches!(detected, Detected::Frame(_)))),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break, // The reader has closed the pipe.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                not_printed = 1 + measured.waiting(&detections);
                break;
            }
            Err(error) => return Err(present::output_error(error)),
        }
    }
    detections.finish();
    Ok(not_printed)
}

/// How long the first frames of a camera that names its streams wait for a depth picture.
const FIRST_DEPTH_TIMEOUT: Duration = Duration::from_secs(1);

/// The frames of one camera with the depths inside of their boxes. A frame waits until the depth picture of its time has arrived.
struct Measured<'a> {
    session: &'a Session,
    depths: DepthMap,
    waiting: VecDeque<WaitingFrame>,
}

struct WaitingFrame {
    number: u64,
    detected: Detected,
    /// It is a depth picture, or one that could not be read.
    is_depth: bool,
    since: Instant,
}

impl<'a> Measured<'a> {
    fn new(session: &'a Session) -> Self {
        Self { session, depths: DepthMap::default(), waiting: VecDeque::new() }
    }

    /// Returns the number of frames that were received and not returned.
    fn waiting(&self, detections: &Detections) -> u64 {
        self.waiting.len() as u64 + detections.waiting()
    }

    /// Returns the next frame or number with its number, and whether the boxes are measured in [`Self::depths`]. If the
    /// reception `is_over`, no frame waits for a depth picture that has not arrived.
    fn recv_timeout(
        &mut self,
        detections: &mut Detections,
        timeout: Duration,
        is_over: bool,
    ) -> Result<(u64, Detected, bool), RecvTimeoutError> {
        loop {
            let mut timeout = timeout;
            if let Some(first) = self.waiting.front() {
                let awaits_first = self.awaits_first();
                let longest = if awaits_first { FIRST_DEPTH_TIMEOUT } else { self.depths.longest_wait() };
                let left = longest.saturating_sub(first.since.elapsed());
                if left.is_zero() || (is_over && detections.waiting() == 0) {
                    self.depths.give_up();
                }
                if !first.awaits_depth(&self.depths, self.awaits_first())
                    && let Some(first) = self.waiting.pop_front()
                {
                    let is_covered = self.covers(&first);
                    return Ok((first.number, first.detected, is_covered));
                }
                timeout = timeout.min(left);
            }
            match detections.recv_timeout(timeout) {
                Ok((number, detected)) => {
                    let is_depth = self.read(&detected);
                    self.waiting.push_back(WaitingFrame { number, detected, is_depth, since: Instant::now() });
                }
                Err(RecvTimeoutError::Disconnected) if !self.waiting.is_empty() => self.depths.give_up(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns whether the first depth picture may still arrive: a camera with one stream does not name it.
    fn awaits_first(&self) -> bool {
        let names_streams = || self.session.ledger().update(|stats| stats.introduction.stream.is_some());
        self.depths.awaits_first() && self.session.spec().recording().is_none() && names_streams()
    }

    /// Reads a depth picture. Payloads are kept only of depth beside other streams, or because of `--hash`.
    fn read(&mut self, detected: &Detected) -> bool {
        let Detected::Frame(detected) = detected else { return false };
        !detected.frame.payload().is_empty()
            && self.depths.read(&detected.frame).unwrap_or_else(|error| {
                tracing::warn!(camera = self.session.name(), "depths cannot be read: {error}");
                true
            })
    }

    fn covers(&mut self, waiting: &WaitingFrame) -> bool {
        let Detected::Frame(detected) = &waiting.detected else { return false };
        let covers = !waiting.is_depth && self.depths.covers(&detected.frame);
        self.depths.mismatch().inspect(|text| present::log(&format!("{}: {text}", self.session.name())));
        covers
    }
}

impl WaitingFrame {
    fn awaits_depth(&self, depths: &DepthMap, awaits_first: bool) -> bool {
        let Detected::Frame(detected) = &self.detected else { return false };
        !self.is_depth && (awaits_first || depths.awaits_next(&detected.frame))
    }
}
