//! `oaktap snapshot`: saves pictures to files.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::frame::Frame;
use oaktap::hub::RecvTimeoutError;
use oaktap::live::{self, Sink as _};
use oaktap::sink::snapshot::{SnapshotTarget, Snapshots};
use oaktap::source::SourceSpec;

use crate::cli::present::Usage;
use crate::cli::receiving::{Explained, Receiving};
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, present};

/// How long to wait for a frame without --duration.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Args, Debug)]
#[command(arg = json_option("Print a summary with all frame counts as one line of JSON at the end"))]
pub(crate) struct SnapshotArgs {
    /// Camera: an address (192.168.1.50, tcp://HOST:PORT), listen://:PORT for a camera that connects to this host, sim: for a
    /// simulated camera, or file:PATH for a recording
    #[arg(value_name = "URI")]
    uri: SourceSpec,

    /// Number of pictures
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,

    /// Folder for new files, or a .png file to write or replace, with a .json file beside it
    #[arg(short, long, value_name = "DIR|FILE.png", default_value = ".")]
    output: PathBuf,

    /// Do not draw boxes and labels
    #[arg(long)]
    no_overlay: bool,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    until: Until,
}

/// Saves snapshots and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &SnapshotArgs) -> anyhow::Result<Outcome> {
    let target = SnapshotTarget::from_path(args.output.clone());
    if matches!(target, SnapshotTarget::File(_)) && args.count > 1 {
        return Err(Usage(format!(
            "`--count {}` needs a folder, but `-o {}` is a file",
            args.count,
            args.output.display()
        ))
        .into());
    }
    let mut snapshots = Snapshots::new(target, args.source.style()?, !args.no_overlay);
    let cameras = live::cameras(std::slice::from_ref(&args.uri));
    live::connect(&cameras, &mut snapshots)?;
    let receiving = Receiving::start(ctx, cameras, &args.source, &args.until)?;
    let written = save_all(&receiving, &mut snapshots, args);
    snapshots.finish();
    let outcome = receiving.finish(ctx, &[]);
    if written? < args.count {
        // The error of a stream without frames explains more.
        outcome?;
        anyhow::bail!("the stream ended before {} pictures were written", args.count);
    }
    outcome
}

/// Saves frames until there are enough. Returns how many.
fn save_all(receiving: &Receiving, snapshots: &mut Snapshots, args: &SnapshotArgs) -> anyhow::Result<u64> {
    let mut explained = Explained::default();
    let mut received = 0;
    let mut written = 0;
    let mut first = None;
    let mut deadline = Instant::now() + args.until.duration.unwrap_or(FRAME_TIMEOUT);
    while written < args.count && !receiving.over() && args.until.frames.is_none_or(|frames| received < frames) {
        let frame = match snapshots.recv_timeout(receiving.stop_check_interval()) {
            Ok(frame) => frame,
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => continue,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        };
        received += 1;
        deadline = Instant::now() + args.until.duration.unwrap_or(FRAME_TIMEOUT);
        if frame.stale {
            first = None;
        } else if written == 0 && first.is_none() && frame.id == 0 {
            // Only the second frame shows whether the first one had waited in the camera (wire.md 2.5).
            first = Some(frame);
        } else {
            explained.frame(&frame);
            written += save(snapshots, &frame)?;
        }
    }
    // Without a second frame, the first one is the best there is.
    if let Some(frame) = first.filter(|_| written == 0) {
        explained.frame(&frame);
        written += save(snapshots, &frame)?;
    }
    Ok(written)
}

fn save(snapshots: &mut Snapshots, frame: &Frame) -> anyhow::Result<u64> {
    let path = snapshots.save(frame)?;
    present::result(format!("{}\n", path.display()).as_bytes())?;
    Ok(1)
}
