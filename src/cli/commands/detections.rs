//! `oaktap detections`: prints the detections of each frame as one line of JSON.

use std::io::{self, Write as _};

use clap::Args;
use oaktap::hub::RecvTimeoutError;
use oaktap::live::{self, Sink as _};
use oaktap::overlay::Style;
use oaktap::sink::detections::{DetectionRecord, Detections};
use oaktap::sink::record::RecordersMonitor;
use oaktap::source::Session;

use super::view::separated;
use crate::cli::fleet::FleetArgs;
use crate::cli::receiving::{Explained, Receiving};
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, present};

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
    let all = Detections::default().with_payloads(args.hash);
    for camera in &cameras {
        let mut detections = all.sibling();
        detections.connect(camera)?;
        sinks.push(detections);
    }
    let receiving = Receiving::start(ctx, cameras, &args.source, &args.until, RecordersMonitor::default())?;
    let printed = receiving.consume(sinks, |session, detections| print(&receiving, session, detections, args, &style));
    let outcome = receiving.finish(ctx, &[])?;
    printed.into_iter().collect::<anyhow::Result<()>>().map(|()| outcome)
}

/// Prints the frames of one camera until a stop condition holds. Then the lane ends, so that later frames do not count as
/// lost.
fn print(
    receiving: &Receiving,
    session: &Session,
    mut detections: Detections,
    args: &DetectionsArgs,
    style: &Style,
) -> anyhow::Result<()> {
    let mut explained = Explained::of(session, receiving.sessions().len());
    let mut left = args.until.frames.unwrap_or(u64::MAX);
    while left > 0 && !receiving.over() {
        let (number, detected) = match detections.recv_timeout(receiving.stop_check_interval()) {
            Ok(numbered) => numbered,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        explained.frame(&detected.frame);
        let sha256 = args.hash.then(|| present::sha256(detected.frame.payload()));
        let camera = Some(session.name());
        let line =
            present::json(&DetectionRecord { camera, sha256, ..DetectionRecord::new(&detected, number, style) })?;
        let mut out = io::stdout().lock();
        match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => left -= 1,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break, // The reader has closed the pipe.
            Err(error) => return Err(anyhow::Error::new(error).context("cannot write to standard output")),
        }
    }
    detections.finish();
    Ok(())
}
