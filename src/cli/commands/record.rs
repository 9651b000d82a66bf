//! `oaktap record`: everything that cameras send, into MCAP files.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::frame::LabelMap;
use oaktap::hub::Budget;
use oaktap::live;
use oaktap::net::clock::received_now;
use oaktap::recording::Compression;
use oaktap::sink::record::{Keep, Options, Place, Recorders, RecordersHealth, Split, State, Trigger, remaining};
use oaktap::source::SourceSpec;

use super::view::separated;
use crate::cli::live::Receiving;
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, present, recorded, value_parsers};

/// How often the last line of a terminal changes.
const OFTEN: Duration = Duration::from_millis(250);

/// How often there is a line where there is no terminal.
const NOW_AND_THEN: Duration = Duration::from_secs(10);

#[derive(Args, Clone, Debug)]
pub(crate) struct RecordArgs {
    /// The cameras: addresses such as 192.168.1.50, tcp://HOST:PORT, sim: for a simulated one, or file:PATH
    #[arg(value_name = "URI", required = true)]
    uris: Vec<SourceSpec>,

    /// Folder for one set of files per camera, or a file that ends in .mcap, for all cameras together
    #[arg(short, long, value_name = "DIR|FILE.mcap")]
    output: PathBuf,

    /// Begin a new file after so long, or so many bytes: 10min, 1GB; for video with the next key picture, if one comes within
    /// ten seconds
    #[arg(long, value_name = "AMOUNT", help_heading = "Files")]
    split: Option<Split>,

    /// Delete the oldest finished files of a camera beyond this: 7d, 50GB, 10%free
    #[arg(long, value_name = "AMOUNT", help_heading = "Files")]
    keep: Option<Keep>,

    /// How to compress: none, lz4 or zstd. Pictures of cameras hardly shrink
    #[arg(long, value_name = "HOW", default_value = "none", help_heading = "Files")]
    compress: Compression,

    /// Force what is written to the medium each second, so that a power cut takes no more than that
    #[arg(long, help_heading = "Files")]
    sync: bool,

    /// Memory for frames that wait for the disk, of all cameras together; as much again holds what comes before a trigger
    #[arg(long, value_name = "BYTES", default_value = "256MB", value_parser = value_parsers::bytes, help_heading = "Files")]
    buffer: usize,

    /// Record around detections only: a label and what the confidence must be above
    #[arg(long, value_name = "LABEL>SHARE", help_heading = "What to record")]
    trigger: Option<Trigger>,

    /// How much before a detection that triggers is recorded
    #[arg(long, value_name = "TIME", default_value = "5s", requires = "trigger", value_parser = value_parsers::duration)]
    #[arg(help_heading = "What to record")]
    pre: Duration,

    /// How much after the last detection that triggers is recorded
    #[arg(long, value_name = "TIME", default_value = "10s", requires = "trigger", value_parser = value_parsers::duration)]
    #[arg(help_heading = "What to record")]
    post: Duration,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    until: Until,
}

impl RecordArgs {
    fn options(&self, labels: Option<LabelMap>) -> Options {
        let place = Place::named(self.output.clone());
        // In a folder each camera has a recorder, and a memory of its own for what comes before a trigger.
        let rings = if matches!(place, Place::Folder(_)) { self.uris.len().max(1) } else { 1 };
        let trigger = self.trigger.clone().map(|trigger| Trigger {
            pre: self.pre,
            post: self.post,
            pre_bytes: self.buffer / rings,
            ..trigger
        });
        Options {
            compression: self.compress,
            split: self.split,
            keep: self.keep,
            trigger,
            sync: self.sync,
            budget: Budget::new(self.buffer),
            // Around a trigger, which frames count is known only when they are recorded.
            frames_max: self.until.frames.filter(|_| self.trigger.is_none()),
            labels,
            ..Options::new(place)
        }
    }

    /// Whether every camera has its frames.
    fn enough(&self, health: &RecordersHealth) -> bool {
        let enough =
            |(recorded, missing): &(u64, u64)| self.until.frames.is_some_and(|most| recorded + missing >= most);
        health.state == State::Finished || health.cameras.iter().all(enough)
    }
}

/// Receives, records, and sums up.
pub(crate) fn run(ctx: &Ctx, args: &RecordArgs) -> anyhow::Result<Outcome> {
    let args = &RecordArgs { uris: separated(&args.uris), ..args.clone() };
    let style = args.source.style()?;
    if style.threshold > 0.0 || !style.only.is_empty() {
        let text = "a recording keeps every detection: --threshold and --only are for those who look at it; \
                    --trigger records around some of them";
        return Err(present::Usage(text.to_owned()).into());
    }
    let cameras = live::cameras(&args.uris);
    let mut recorders = Recorders::new(args.options(style.names));
    live::connect(&cameras, &mut recorders)?;
    recorders.start().map_err(recorded::refused)?;
    let receiving = Receiving::start(ctx, cameras, &args.source, &args.until)?;
    watch(ctx, args, &receiving, &mut recorders);
    recorded::finish(ctx, receiving, Some(recorders), "record")
}

/// Prints the progress until a stop condition holds.
fn watch(ctx: &Ctx, args: &RecordArgs, receiving: &Receiving, recorders: &mut Recorders) {
    let terminal = std::io::stderr().is_terminal();
    let often = if terminal { OFTEN } else { NOW_AND_THEN };
    let mut due = Instant::now() + often;
    let mut state = State::Waiting;
    while !receiving.over() && !receiving.ended() {
        let Some(health) = recorders.health(received_now().mono_ns) else { break };
        if args.enough(&health) {
            break;
        }
        let trouble = |state: &State| matches!(state, State::Paused { .. });
        if health.state != state && (trouble(&health.state) || trouble(&state)) {
            // That must not be missed, and stays on the screen.
            present::say(&progress(&health, args));
        }
        state = health.state.clone();
        if Instant::now() >= due {
            due = Instant::now() + often;
            let line = progress(&health, args);
            if terminal { present::status(&line) } else { present::say(&line) }
        }
        ctx.stop.wait_until(Some(Instant::now() + receiving.patience()));
    }
    if terminal {
        present::status("");
    }
}

fn progress(health: &RecordersHealth, args: &RecordArgs) -> String {
    let RecordersHealth { state, frames, missing, bytes, bytes_per_s, disk_left, seconds_left, .. } = health;
    let doing = match (state, &args.trigger) {
        (State::Waiting, Some(trigger)) => format!("waiting for {trigger}"),
        (State::Waiting, None) => "waiting for frames".to_owned(),
        (State::Recording, _) => "recording".to_owned(),
        (State::Paused { why }, _) => format!("PAUSED: {why}"),
        (State::Finished, _) => "ended".to_owned(),
    };
    let room = match (seconds_left, disk_left) {
        (Some(seconds), _) => format!(", {} left on the disk", remaining(*seconds)),
        (None, Some(left)) => format!(", {} free", recorded::size(*left)),
        (None, None) => String::new(),
    };
    let speed = bytes_per_s / 1e6;
    format!("{doing}: {frames} frames, {missing} missing, {}, {speed:.1} MB/s{room}", recorded::size(*bytes))
}
