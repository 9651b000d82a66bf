//! `oaktap detections`: prints the detections of each frame as one line of JSON.

use std::io::{self, Write as _};

use clap::Args;
use oaktap::hub::RecvTimeoutError;
use oaktap::live::{self, Sink as _};
use oaktap::overlay::Style;
use oaktap::sink::detections::{DetectionRecord, Detections};
use oaktap::source::SourceSpec;

use crate::cli::receiving::{Explained, Receiving};
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, present};

#[derive(Args, Debug)]
#[command(arg = json_option("Print a summary with all frame counts as one more line of JSON at the end"))]
pub(crate) struct DetectionsArgs {
    /// Camera: an address (192.168.1.50, tcp://HOST:PORT), listen://:PORT for a camera that connects to this host, sim: for a
    /// simulated camera, or file:PATH for a recording
    #[arg(value_name = "URI")]
    uri: SourceSpec,

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
    let cameras = live::cameras(std::slice::from_ref(&args.uri));
    let mut detections = Detections::default();
    live::connect(&cameras, &mut detections)?;
    let receiving = Receiving::start(ctx, cameras, &args.source, &args.until)?;
    let printed = print(&receiving, detections, args, &style);
    let outcome = receiving.finish(ctx, &[])?;
    printed.map(|()| outcome)
}

/// Prints until a stop condition holds. Then the lane ends, so that later frames do not count as lost.
fn print(
    receiving: &Receiving,
    mut detections: Detections,
    args: &DetectionsArgs,
    style: &Style,
) -> anyhow::Result<()> {
    let mut explained = Explained::default();
    let mut out = io::stdout().lock();
    let mut left = args.until.frames.unwrap_or(u64::MAX);
    while left > 0 && !receiving.over() {
        let (number, frame) = match detections.recv_timeout(receiving.stop_check_interval()) {
            Ok(numbered) => numbered,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        explained.frame(&frame);
        let sha256 = args.hash.then(|| present::sha256(frame.payload()));
        let line = present::json(&DetectionRecord { sha256, ..DetectionRecord::new(&frame, number, style) })?;
        match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => left -= 1,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break, // The reader has closed the pipe.
            Err(error) => return Err(anyhow::Error::new(error).context("cannot write to standard output")),
        }
    }
    detections.finish();
    Ok(())
}
