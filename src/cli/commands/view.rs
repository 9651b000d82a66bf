//! `oaktap view`: shows cameras and their detections in a window.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::device::contract::Contract;
use oaktap::hub::Budget;
use oaktap::live;
use oaktap::net::clock::received_now;
use oaktap::recording::Reader;
use oaktap::sink::record::{RecordOptions, Recorders, RecordingTarget};
use oaktap::sink::snapshot::{SnapshotSaver, SnapshotTarget};
use oaktap::sink::window::{self, Program, Screen, WindowError, note_channel};
use oaktap::source::{FileSpec, NamedSource, Session, SourceSpec};
use oaktap::view::{ViewOptions, Views};

use super::replay::{self, ReplayArgs, name_of_camera};
use crate::cli::beside::{Beside, BesideArgs};
use crate::cli::fleet::FleetArgs;
use crate::cli::receiving::{Receiving, Unpictured};
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, present};

/// How often the stop conditions are checked while no picture arrives.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Default folder of the key `r`.
pub(super) const RECORDINGS: &str = "recordings";

const EXAMPLES: &str = "\
Examples:
  oaktap view 192.168.1.50
  oaktap view 192.168.1.50 192.168.1.51 --threshold 60% --only person
  oaktap view front=192.168.1.50 back=192.168.1.51
  oaktap view --config oaktap.toml
  oaktap view --all --status 10s --json
  oaktap view 192.168.1.50 --serve
  oaktap view 192.168.1.50 --publish mqtt://192.168.1.10/oaktap
  oaktap view file:cam.mcap
  oaktap view sim:

Words in the HUD and in the table at the end:
  damaged   frames that proved to be damaged after they had arrived
  lost      frames of which only a part arrived
  missing   frames of which nothing arrived; ~: estimated from the rhythm, because the camera does not number them
  not sent  missing frames whose numbers the camera left out
  stale     frames that waited in the camera before oaktap connected
  dropped   pictures that a newer one replaced before they were shown; recordings keep them
  latency   ms from the last byte of a frame to its picture; p50: median, p99: 99 of 100 take less
  age, old  ms since the picture on the screen arrived
  jitter    ms by which arrivals are irregular, compared with capture times
  skipped   bytes outside of frames and records; resyncs: searches for the beginning of a frame
  css, mss  load of the camera's two processors in percent, as it reports it
docs/window.md explains every word.

Press ? in the window for its keys.";

/// Options of a command that shows streams in a window.
#[derive(Args, Clone, Debug)]
pub(super) struct ShowArgs {
    /// Receive or play, convert and draw without opening a window; end with the recordings
    #[arg(long)]
    pub(super) no_window: bool,

    /// Folder for recordings started with the key `r`
    #[arg(long, value_name = "DIR", default_value = RECORDINGS)]
    pub(super) record: PathBuf,

    /// Size of text in the window, 0.5 to 4 [default: that of the desktop]
    #[arg(long, value_name = "FACTOR", value_parser = scale)]
    pub(super) scale: Option<f32>,

    #[command(flatten)]
    pub(super) source: SourceArgs,

    #[command(flatten)]
    pub(super) until: Until,
}

fn scale(text: &str) -> Result<f32, String> {
    let number = text.strip_suffix('x').unwrap_or(text).parse().ok().filter(|scale| window::SCALES.contains(scale));
    number.ok_or_else(|| format!("expected {} to {}", window::SCALES.start(), window::SCALES.end()))
}

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print a summary with all frame counts as one line of JSON at the end"))]
pub(crate) struct ViewArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    /// Of the further streams of a camera, such as depth, show only this one; repeatable [default: all]
    #[arg(long, value_name = "NAME")]
    stream: Vec<String>,

    #[command(flatten)]
    beside: BesideArgs,

    #[command(flatten)]
    show: ShowArgs,
}

impl ViewArgs {
    /// Returns the arguments for these sources, which must run the application of the contract.
    pub(crate) fn for_sources(sources: &[NamedSource], expect: Option<Contract>) -> Self {
        Self {
            fleet: FleetArgs::of(sources.iter().map(ToString::to_string).collect(), None),
            stream: Vec::new(),
            beside: BesideArgs::default(),
            show: ShowArgs {
                no_window: false,
                record: RECORDINGS.into(),
                scale: None,
                source: SourceArgs { expect, ..SourceArgs::default() },
                until: Until::default(),
            },
        }
    }
}

/// Shows cameras until a stop condition holds, and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &ViewArgs) -> anyhow::Result<Outcome> {
    let without_streams = || {
        let text = "--stream is for live cameras: in a recording each stream is a camera, which is shown without it";
        anyhow::Error::from(present::Usage(text.to_owned()))
    };
    if let Some(folders) = args.fleet.folders() {
        if !args.stream.is_empty() {
            return Err(without_streams());
        }
        args.beside.refuse_for_folder()?;
        return replay::run(ctx, &ReplayArgs::of(folders, args.show.clone()));
    }
    let uris = separated(&args.fleet.sources()?);
    if !args.stream.is_empty() && uris.iter().any(|source| source.spec.recording().is_some()) {
        return Err(without_streams());
    }
    let beside = args.beside.open(&args.show.source.style()?)?;
    args.show.show(ctx, &uris, &args.stream, beside)
}

/// Receives what the window shows: first what the command line names, then files that the user drops on the window.
pub(super) struct Player<'a> {
    ctx: &'a Ctx,
    receiving: Receiving,
    until: Until,
    deadline: Option<Instant>,
    source: &'a SourceArgs,
    record: &'a Path,
    /// Serves and publishes the cameras of the command line.
    beside: Beside,
    /// How the reception before ended, if the user has dropped files.
    ended: Option<anyhow::Result<Outcome>>,
}

impl<'a> Player<'a> {
    pub(super) fn new(
        ctx: &'a Ctx,
        receiving: Receiving,
        until: &Until,
        source: &'a SourceArgs,
        record: &'a Path,
    ) -> Self {
        Self {
            ctx,
            receiving,
            until: *until,
            deadline: until.deadline(),
            source,
            record,
            beside: Beside::default(),
            ended: None,
        }
    }

    /// Also serves and publishes what the window shows now.
    fn with_beside(self, beside: Beside) -> Self {
        Self { beside, ..self }
    }

    /// Prints a summary. Reports what went wrong first.
    pub(super) fn finish(self, screen: Screen) -> anyhow::Result<Outcome> {
        let last = ended(self.ctx, self.receiving, screen, self.beside);
        match self.ended {
            Some(Err(error)) => Err(error),
            Some(Ok(Outcome::Lossy)) => last.map(|_| Outcome::Lossy),
            Some(Ok(Outcome::Done)) | None => last,
        }
    }
}

/// Ends the reception, finishes recordings, and prints a summary.
fn ended(ctx: &Ctx, receiving: Receiving, mut screen: Screen, beside: Beside) -> anyhow::Result<Outcome> {
    let recorders = screen.take_recorders();
    let unseen = screen.unseen().into_iter().map(|health| health.map(Unpictured::from)).collect();
    if let Some(note) = screen.missing_streams_note() {
        present::always_say(&note);
    }
    // Ends the views, so that the summary counts everything that they did.
    drop(screen);
    let recordings = receiving.end_recordings(recorders);
    let beside = beside.finish();
    beside.print(ctx)?;
    receiving.without_pictures(unseen).finish(ctx, &recordings).map(|outcome| beside.outcome(outcome))
}

impl Program for Player<'_> {
    fn done(&mut self) -> bool {
        over(&self.receiving, &self.until) || self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    fn play(&mut self, files: &[PathBuf], screen: &mut Screen) -> Result<(), String> {
        let (receiving, new) = replay::open(self.ctx, files, self.source, self.record).map_err(|error| {
            // The reason alone: the note names the file, and the options of the help do not exist in the window.
            error.root_cause().to_string()
        })?;
        let before = std::mem::replace(&mut self.receiving, receiving);
        let result = ended(self.ctx, before, std::mem::replace(screen, new), std::mem::take(&mut self.beside));
        self.until = Until::default();
        if !matches!(self.ended, Some(Err(_))) {
            let lossy = matches!(self.ended, Some(Ok(Outcome::Lossy)));
            self.ended = Some(result.map(|outcome| if lossy { Outcome::Lossy } else { outcome }));
        }
        Ok(())
    }
}

/// Replaces a recording with several cameras by one source for each of them. A given name is put before theirs.
pub(super) fn separated(sources: &[NamedSource]) -> Vec<NamedSource> {
    let mut separate = Vec::new();
    for source in sources {
        // The session reports a file that cannot be opened.
        let recording = source.spec.recording().filter(|file| file.camera.is_none());
        match recording.and_then(|file| Some((file, Reader::open(&file.path).ok()?))) {
            Some((file, reader)) => {
                let alone = reader.cameras().count() == 1;
                separate.extend(reader.cameras().map(|camera| NamedSource {
                    name: source.name.as_ref().map(|name| name_of_camera(name, &camera.name, alone)),
                    spec: SourceSpec::File(FileSpec { camera: Some(camera.name.clone()), ..file.clone() }),
                }));
            }
            None => separate.push(source.clone()),
        }
    }
    separate
}

impl ShowArgs {
    /// Shows the sources, and the further streams of them with these names or all, until a stop condition holds, and prints a summary.
    /// `beside`: also serves and publishes them.
    pub(super) fn show(
        &self,
        ctx: &Ctx,
        sources: &[NamedSource],
        streams: &[String],
        mut beside: Beside,
    ) -> anyhow::Result<Outcome> {
        let shown = (sources, streams);
        let (receiving, mut screen) = watch(ctx, shown, &self.source, &self.until, &self.record, &mut beside)?;
        let player = Player::new(ctx, receiving, &self.until, &self.source, &self.record);
        let mut player = player.with_beside(beside);
        let shown = if self.no_window {
            without_window(&mut screen, || player.done());
            Ok(())
        } else {
            window::show(&mut screen, self.scale, &mut player)
        };
        finish(player, screen, shown)
    }
}

/// Prints a summary. `shown` is the end of the window.
fn finish(player: Player<'_>, screen: Screen, shown: Result<(), WindowError>) -> anyhow::Result<Outcome> {
    if let Err(error @ WindowError::NoDisplay(_)) = shown {
        // Nothing was shown, so there is no summary.
        return Err(present::advised(error.into(), "use --no-window, or `oaktap snapshot` to save pictures"));
    }
    let outcome = player.finish(screen);
    shown.map_err(advised)?;
    outcome
}

/// Adds help to an error of the window.
pub(super) fn advised(error: WindowError) -> anyhow::Error {
    match error {
        WindowError::Lost(_) => present::advised(error.into(), "`oaktap record` and --no-window need no display"),
        _ => error.into(),
    }
}

/// Starts to receive and to convert. Further streams of the cameras are shown too: those with these names, or all if there are none.
/// Call it on the thread that shows the screen.
pub(super) fn watch(
    ctx: &Ctx,
    (sources, streams): (&[NamedSource], &[String]),
    source: &SourceArgs,
    until: &Until,
    record: &Path,
    beside: &mut Beside,
) -> anyhow::Result<(Receiving, Screen)> {
    let style = source.style()?;
    let (notify, notes) = note_channel();
    let saver = SnapshotSaver::new(SnapshotTarget::Folder(".".into()), style.clone(), Arc::clone(&notify));
    let mut views = Views::new(ViewOptions {
        style: style.clone(),
        notify: Arc::clone(&notify),
        snapshot: Arc::new(move |snapshot| saver.save(snapshot)),
        ..ViewOptions::default()
    });
    let target = RecordingTarget::Folder(record.to_owned());
    let budget = Budget::new(source.waiting_bytes());
    let memory = Some(source.frames().bound().clone());
    let options = RecordOptions { labels: style.names, budget, memory, ..RecordOptions::new(target) };
    let mut recorders = Recorders::new(options);
    let cameras = live::cameras(sources);
    live::connect(&cameras, &mut views)?;
    live::connect(&cameras, &mut recorders)?;
    let pictures = window::subscribe(&cameras, &views);
    beside.connect(&cameras, recorders.monitor())?;
    let receiving = Receiving::start(ctx, cameras.clone(), source, until, &recorders.monitor())?;
    beside.start(receiving.sessions())?;
    let screen = Screen::new(receiving.sessions(), views, pictures, (notify, notes), present::log);
    let screen = screen.with_advice(present::advice_for);
    Ok((receiving, screen.with_streams(cameras, streams.to_vec()).with_recorders(recorders)))
}

/// Takes the pictures without showing them, until `done`.
pub(super) fn without_window(screen: &mut Screen, mut done: impl FnMut() -> bool) {
    while !done() {
        screen.refresh(received_now().mono_ns);
        // Each picture wakes this thread.
        thread::park_timeout(STOP_CHECK_INTERVAL);
    }
}

/// Returns whether a stop condition holds: the user's, or every camera has sent its frames or has ended.
pub(super) fn over(receiving: &Receiving, until: &Until) -> bool {
    let enough = |session: &Session| {
        let decided = session.ledger().update(|stats| stats.frames.confirmed + stats.frames.withdrawn);
        session.ended() || until.frames.is_some_and(|frames| decided >= frames)
    };
    receiving.over() || receiving.sessions().iter().all(enough)
}
