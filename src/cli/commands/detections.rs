//! `oaktap detections`: prints the detections of each frame as one line of JSON.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::convert::DepthMap;
use oaktap::frame::{Frame, Received};
use oaktap::hub::{Budget, RecvTimeoutError};
use oaktap::live::{self, Sink as _};
use oaktap::overlay::Style;
use oaktap::sink::detections::{Detected, DetectedFrame, DetectionRecord, Detections, MeasurementRecord};
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
    let receiving = Receiving::start(ctx, cameras, &source, &args.until, &RecordersMonitor::default())?;
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
    let mut is_over = false;
    while left > 0 {
        if !is_over && receiving.over() {
            is_over = true;
            if session.spec().recording().is_none() {
                // Delivers the first frames, which wait until it is known whether they are stale.
                session.stop();
                // `finish` reports how the session ended.
                drop(session.wait());
            }
            left = left.min(measured.waiting(&detections));
            continue;
        }
        let (item, is_covered) = match measured.recv_timeout(&mut detections, receiving.stop_check_interval(), is_over)
        {
            Ok(measured) => measured,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let camera = Some(session.name());
        let line = match &item {
            Item::Frame(number, detected) => {
                let number = *number;
                explained.frame(&detected.frame);
                let sha256 = args.hash.then(|| present::sha256(detected.frame.payload()));
                let record = DetectionRecord { camera, sha256, ..DetectionRecord::new(detected, number, style) };
                if is_covered {
                    present::json(&record.measured_in(&mut measured.depths))?
                } else {
                    present::json(&record)?
                }
            }
            Item::Measurement(number, Measurement { topic, value, stale }, received) => {
                present::json(&MeasurementRecord {
                    camera,
                    seq: *number,
                    arrival_unix_ns: received.unix_ns,
                    topic,
                    value: *value,
                    stale: *stale,
                })?
            }
        };
        match present::line(line.as_bytes()) {
            Ok(()) => left = left.saturating_sub(u64::from(matches!(item, Item::Frame(..)))),
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

/// Longest wait of the first frames for a depth picture, if the camera names its streams.
const FIRST_DEPTH_TIMEOUT: Duration = Duration::from_secs(1);

/// A frame or a number to print.
enum Item {
    Frame(u64, DetectedFrame),
    Measurement(u64, Measurement, Received),
}

impl Item {
    fn received(&self) -> Received {
        match self {
            Self::Frame(_, detected) => detected.frame.received,
            Self::Measurement(.., received) => *received,
        }
    }

    /// Returns the frame, if its boxes are measured in depth pictures.
    fn measured(&self) -> Option<&Frame> {
        match self {
            Self::Frame(_, detected) => Some(&*detected.frame).filter(|frame| !frame.is_depth()),
            Self::Measurement(..) => None,
        }
    }
}

/// The frames of one camera with the depths inside of their boxes. A frame waits until the depth picture of its time has arrived.
struct Measured<'a> {
    session: &'a Session,
    depths: DepthMap,
    waiting: VecDeque<(Item, Instant)>,
    wait: Wait,
}

/// The clock by which a frame waits.
enum Wait {
    /// The clock of this host.
    Live,
    /// The arrivals in the recording, at any speed of the replay: that of the last frame or number, in nanoseconds since 1970, UTC.
    Recorded { now_ns: i64 },
}

impl Wait {
    /// Returns how long an item has waited.
    fn since(&self, item: &Item, taken: Instant) -> Duration {
        match self {
            Self::Live => taken.elapsed(),
            Self::Recorded { now_ns } => {
                let waited_ns = now_ns.saturating_sub(item.received().unix_ns);
                Duration::from_nanos(u64::try_from(waited_ns).unwrap_or(0))
            }
        }
    }
}

impl<'a> Measured<'a> {
    fn new(session: &'a Session) -> Self {
        let is_recorded = session.spec().recording().is_some();
        let wait = if is_recorded { Wait::Recorded { now_ns: i64::MIN } } else { Wait::Live };
        Self { session, depths: DepthMap::default(), waiting: VecDeque::new(), wait }
    }

    /// Returns the number of frames that were received and not returned.
    fn waiting(&self, detections: &Detections) -> u64 {
        self.waiting.len() as u64 + detections.waiting()
    }

    /// Returns the next frame or number, and whether its boxes are measured in [`Self::depths`]. If the reception `is_over`, no
    /// frame waits for a depth picture that has not arrived.
    fn recv_timeout(
        &mut self,
        detections: &mut Detections,
        timeout: Duration,
        is_over: bool,
    ) -> Result<(Item, bool), RecvTimeoutError> {
        loop {
            let mut timeout = timeout;
            if let Some((first, taken)) = self.waiting.front() {
                let is_first = matches!(self.wait, Wait::Live) && self.awaits_first();
                let longest = if is_first { FIRST_DEPTH_TIMEOUT } else { self.depths.longest_wait() };
                let left = longest.saturating_sub(self.wait.since(first, *taken));
                if left.is_zero() || (is_over && detections.waiting() == 0) {
                    self.depths.give_up();
                }
                if !self.awaits_depth(first)
                    && let Some((first, _)) = self.waiting.pop_front()
                {
                    let is_covered = self.covers(&first);
                    return Ok((first, is_covered));
                }
                if matches!(self.wait, Wait::Live) {
                    timeout = timeout.min(left);
                }
            }
            let item = match detections.recv_timeout(timeout) {
                Ok(Detected::Frame(number, detected)) => {
                    // Payloads are kept only of depth beside other streams, or because of `--hash`.
                    if !detected.frame.payload().is_empty() {
                        self.read(&detected.frame);
                    }
                    Item::Frame(number, detected)
                }
                Ok(Detected::Measurement(number, measurement, received)) => {
                    Item::Measurement(number, measurement, received)
                }
                Ok(Detected::Depth(frame)) => {
                    self.read(&frame);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) if !self.waiting.is_empty() => {
                    self.depths.give_up();
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Wait::Recorded { now_ns } = &mut self.wait {
                *now_ns = item.received().unix_ns;
            }
            self.waiting.push_back((item, Instant::now()));
        }
    }

    /// Reads the depths of a frame, if it is a depth picture.
    fn read(&mut self, frame: &Frame) {
        if let Err(error) = self.depths.read(frame) {
            tracing::warn!(camera = self.session.name(), "depths cannot be read: {error}");
        }
    }

    fn awaits_depth(&self, item: &Item) -> bool {
        item.measured().is_some_and(|frame| self.awaits_first() || self.depths.awaits_next(frame))
    }

    /// Returns whether the first depth picture may still arrive.
    fn awaits_first(&self) -> bool {
        let names_streams = || self.session.ledger().update(|stats| stats.names_streams());
        self.depths.awaits_first() && (matches!(self.wait, Wait::Recorded { .. }) || names_streams())
    }

    fn covers(&mut self, item: &Item) -> bool {
        let covers = item.measured().is_some_and(|frame| self.depths.covers(frame));
        self.depths.mismatch().inspect(|text| present::log(&format!("{}: {text}", self.session.name())));
        covers
    }
}
