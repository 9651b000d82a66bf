//! `oaktap demo`: shows a simulated camera.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use oaktap::sim::SimConfig;
use oaktap::sink::snapshot;
use oaktap::sink::window::{self, Program, Screen, WindowError};
use oaktap::source::SourceSpec;
use oaktap::units::count;

use super::view::{Player, RECORDINGS, advised, watch, without_window};
use crate::cli::beside::Beside;
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, present};

/// How long the demo runs without a display.
const RUN_TIME_WITHOUT_DISPLAY: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  oaktap demo
  oaktap demo -d 10s";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print a summary with all frame counts as one line of JSON at the end"))]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    until: Until,
}

/// Shows a simulated camera over loopback TCP, and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &DemoArgs) -> anyhow::Result<Outcome> {
    let uris = [SourceSpec::Sim(Box::new(SimConfig { records: true, ..SimConfig::default() })).into()];
    let source = SourceArgs::default();
    let (receiving, mut screen) =
        watch(ctx, (&uris, &[]), &source, &args.until, RECORDINGS.as_ref(), &mut Beside::default())?;
    present::say("simulated camera at 40 frames per second over loopback TCP; press ? in the window for its keys");
    let mut player = Player::new(ctx, receiving, &args.until, &source, RECORDINGS.as_ref());
    let mut shown = window::show(&mut screen, None, &mut player);
    let path = match shown {
        Err(error @ WindowError::NoDisplay(_)) => {
            shown = Ok(());
            let limited = args.until.duration.is_some() || args.until.frames.is_some();
            let time = args.until.duration.unwrap_or(RUN_TIME_WITHOUT_DISPLAY);
            let how_long = match args.until.frames.filter(|_| args.until.duration.is_none()) {
                Some(frames) => format!("for {}", count(frames, "frame", "frames")),
                None => format!("for {} s", time.as_secs_f64()),
            };
            present::say(&format!("{error}; running {how_long} without a window"));
            let end = Instant::now() + time;
            without_window(&mut screen, || (!limited && Instant::now() >= end) || player.done());
            Some(write(&mut screen)?)
        }
        Ok(()) | Err(_) => None,
    };
    let outcome = player.finish(screen);
    shown.map_err(advised)?;
    if let Some(path) = path {
        present::say("the picture that the window would have shown:");
        let line = path.display().to_string();
        // With --json, standard output holds only JSON.
        if ctx.json { present::say(&line) } else { present::result(format!("{line}\n").as_bytes())? }
    }
    outcome
}

/// Writes the picture that the window would show to a new file.
fn write(screen: &mut Screen) -> anyhow::Result<PathBuf> {
    let (width, height) = screen.opening_size(None);
    let image = screen.image(width, height);
    let folder = std::env::temp_dir();
    snapshot::write_new(&folder, "oaktap-demo", image.words, image.width, image.height)
        .with_context(|| format!("cannot write the picture to {}", folder.display()))
}
