//! `oaktap snapshot`: pictures in files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::convert::{Converter, PackedOrder};
use oaktap::frame::{Frame, Picture};
use oaktap::hub::{Policy, RecvTimeoutError, Taker, lane};
use oaktap::overlay::{Overlay, Style};
use oaktap::sink::snapshot::{self, About, Pixels, Place};
use oaktap::source::{Outlets, SourceSpec};

use crate::cli::live::{Explained, Live};
use crate::cli::present::Usage;
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, present};

/// How long to wait for a frame when the user does not say it.
const PATIENCE: Duration = Duration::from_secs(10);

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

/// Receives, writes, and sums up.
pub(crate) fn run(ctx: &Ctx, args: &SnapshotArgs) -> anyhow::Result<Outcome> {
    let place = Place::named(args.output.clone());
    if matches!(place, Place::File(_)) && args.count > 1 {
        return Err(Usage(format!(
            "`--count {}` needs a folder, but `-o {}` is a file",
            args.count,
            args.output.display()
        ))
        .into());
    }
    let style = args.source.style()?;
    let (lane, taker) = lane("snapshot", Policy::DropOldest(1));
    let mut outlets = Outlets::default();
    outlets.kept.add(lane);
    let live = Live::start(ctx, vec![(args.uri.clone(), outlets)], &args.source, &args.until)?;
    let written = write(&live, &taker, args, style, &place);
    drop(taker);
    let outcome = live.finish(ctx, "snapshot");
    if written? < args.count {
        // No frame at all is an error that tells more.
        outcome?;
        anyhow::bail!("the stream ended before {} pictures were written", args.count);
    }
    outcome
}

/// Writes until there are enough, and says how many there are.
fn write(
    live: &Live,
    taker: &Taker<Arc<Frame>>,
    args: &SnapshotArgs,
    style: Style,
    place: &Place,
) -> anyhow::Result<u64> {
    let mut shutter = Shutter {
        converter: Converter::new(),
        overlay: (!args.no_overlay).then(|| Overlay::new(style.clone())),
        style,
        picture: Picture::default(),
        rgb: Vec::new(),
    };
    let mut explained = Explained::new(args.source.overrides());
    let mut received = 0;
    let mut written = 0;
    let mut first = None;
    let mut deadline = Instant::now() + args.until.duration.unwrap_or(PATIENCE);
    while written < args.count && !live.over() && args.until.frames.is_none_or(|frames| received < frames) {
        let frame = match taker.recv_timeout(live.patience()) {
            Ok(frame) => frame,
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => continue,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        };
        received += 1;
        deadline = Instant::now() + args.until.duration.unwrap_or(PATIENCE);
        if frame.stale {
            first = None;
        } else if written == 0 && first.is_none() && frame.id == 0 {
            // Only the second frame tells whether the first had been waiting in the camera for ever.
            first = Some(frame);
        } else {
            explained.frame(&frame);
            written += shutter.write(&frame, args, place)?;
        }
    }
    // There was no second one.
    if let Some(frame) = first.filter(|_| written == 0) {
        explained.frame(&frame);
        written += shutter.write(&frame, args, place)?;
    }
    Ok(written)
}

/// Frames -> files.
struct Shutter {
    converter: Converter,
    overlay: Option<Overlay>,
    style: Style,
    picture: Picture,
    rgb: Vec<u8>,
}

impl Shutter {
    fn write(&mut self, frame: &Frame, args: &SnapshotArgs, place: &Place) -> anyhow::Result<u64> {
        let name = args.uri.to_string();
        let names = self.style.names(frame.labels.as_deref());
        let about = About { camera: &name, names, overrides: args.source.overrides() };
        let path = if let Some(overlay) = &mut self.overlay {
            self.converter.picture(frame, &mut self.picture)?;
            overlay.draw(&mut self.picture, &frame.detections, frame.labels.as_deref());
            snapshot::write_picture(place, &self.picture, frame, about)?
        } else {
            let (width, height) = self.converter.packed(frame, PackedOrder::Rgb, &mut self.rgb)?;
            snapshot::write(place, Pixels { rgb: &self.rgb, width, height }, frame, about)?
        };
        present::result(format!("{}\n", path.display()).as_bytes())?;
        Ok(1)
    }
}
