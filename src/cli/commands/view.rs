//! `oaktap view`: the pictures of cameras with their boxes, in a window.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use clap::Args;
use oaktap::device::contract::Contract;
use oaktap::frame::Pool;
use oaktap::hub::{Policy, lane};
use oaktap::net::clock::received_now;
use oaktap::recording::Reader;
use oaktap::sink::record::{self, Deck};
use oaktap::sink::snapshot::Place;
use oaktap::sink::window::{self, Camera, Screen, WindowError};
use oaktap::source::{FileSpec, Outlets, SourceSpec};
use oaktap::view::{Intact, Parts, View};

use crate::cli::live::Live;
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, present, recorded};

/// How long to wait for a picture before asking whether it is over.
const PATIENCE: Duration = Duration::from_millis(20);

/// Where the key `r` records to, unless it is told.
pub(super) const RECORDINGS: &str = "recordings";

const EXAMPLES: &str = "\
Examples:
  oaktap view 192.168.1.50
  oaktap view 192.168.1.50 192.168.1.51 --threshold 60% --only person
  oaktap view file:cam.mcap
  oaktap view sim:

Press ? in the window for its keys.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print a summary with all frame counts as one line of JSON at the end"))]
pub(crate) struct ViewArgs {
    /// Cameras: addresses (192.168.1.50, tcp://HOST:PORT), listen://:PORT for cameras that connect to this host, sim: for a
    /// simulated camera, or file:PATH for a recording
    #[arg(value_name = "URI", required = true)]
    uris: Vec<SourceSpec>,

    /// Receive, convert and draw without opening a window
    #[arg(long)]
    no_window: bool,

    /// Folder for recordings started with the key `r`
    #[arg(long, value_name = "DIR", default_value = RECORDINGS)]
    record: PathBuf,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    until: Until,
}

impl ViewArgs {
    /// Returns the arguments for these sources, which must run the application of the contract.
    pub(crate) fn for_sources(sources: Vec<SourceSpec>, expect: Option<Contract>) -> Self {
        Self {
            uris: sources,
            no_window: false,
            record: RECORDINGS.into(),
            source: SourceArgs { expect, ..SourceArgs::default() },
            until: Until::default(),
        }
    }
}

/// Receives, shows, and sums up.
pub(crate) fn run(ctx: &Ctx, args: &ViewArgs) -> anyhow::Result<Outcome> {
    let uris = separated(&args.uris);
    let (live, screen) = watch(ctx, &uris, &args.source, &args.until, &args.record)?;
    show(ctx, live, screen, args.no_window, &args.until, "view")
}

/// A recording with several cameras is as many sources.
pub(super) fn separated(uris: &[SourceSpec]) -> Vec<SourceSpec> {
    let mut separate = Vec::new();
    for uri in uris {
        match uri {
            // What cannot be opened is told by its session.
            SourceSpec::File(file) if file.camera.is_none() => {
                match Reader::open(&file.path) {
                    Ok(reader) => separate.extend(reader.cameras().map(|camera| {
                        SourceSpec::File(FileSpec { camera: Some(camera.name.clone()), ..file.clone() })
                    })),
                    Err(_) => separate.push(uri.clone()),
                }
            }
            SourceSpec::File(_) | SourceSpec::Tcp { .. } | SourceSpec::Listen { .. } | SourceSpec::Sim(_) => {
                separate.push(uri.clone());
            }
        }
    }
    separate
}

/// Shows until it is over, and sums up.
pub(super) fn show(
    ctx: &Ctx,
    live: Live,
    mut screen: Screen,
    no_window: bool,
    until: &Until,
    command: &'static str,
) -> anyhow::Result<Outcome> {
    let shown = if no_window {
        without_window(&mut screen, || over(&live, until));
        Ok(())
    } else {
        window::show(&mut screen, || over(&live, until))
    };
    let deck = screen.take_deck();
    // Before the sums: what the views still do belongs into them.
    drop(screen);
    if let Err(error @ WindowError::NoDisplay(_)) = shown {
        // Nothing was shown, so there is nothing to sum up.
        return Err(error.into());
    }
    let outcome = recorded::finish(ctx, live, deck, command);
    shown?;
    outcome
}

/// Starts to receive and to convert.
pub(super) fn watch(
    ctx: &Ctx,
    uris: &[SourceSpec],
    source: &SourceArgs,
    until: &Until,
    record: &Path,
) -> anyhow::Result<(Live, Screen)> {
    let style = source.style()?;
    let place = record::Place::Folder(record.to_owned());
    let deck = Deck::new(record::Options::new(place), recorded::cameras(uris, &style));
    let mut lanes = Vec::new();
    let sources = uris.iter().enumerate().map(|(at, uri)| {
        let (live, live_end) = lane("view", Policy::DropOldest(1));
        let intact = match uri {
            SourceSpec::File(_) => Intact::of_recording(),
            SourceSpec::Tcp { .. } | SourceSpec::Listen { .. } | SourceSpec::Sim(_) => Intact::default(),
        };
        let mut outlets = Outlets::default();
        outlets.live.add(live);
        outlets.kept.tap(intact.tap());
        deck.connect(at, &mut outlets, None);
        lanes.push((live_end, intact));
        (uri.clone(), outlets)
    });
    let live = Live::start(ctx, sources.collect(), source, until)?;
    let (notes, noted) = channel();
    // One for all cameras, so that they take turns with few pictures that stay in the cache.
    let pool = Pool::default();
    let camera = |(session, (live, intact)): (&oaktap::source::Session, _)| {
        let view = View::start(Parts {
            name: session.name().to_owned(),
            live,
            intact,
            style: style.clone(),
            overrides: source.overrides(),
            pool: pool.clone(),
            ledger: session.ledger().clone(),
            snapshots: Place::Folder(".".into()),
            notes: notes.clone(),
            wake: thread::current(),
        })?;
        anyhow::Ok(Camera::new(session, view))
    };
    let cameras = live.sessions().zip(lanes).map(camera).collect::<Result<_, _>>()?;
    Ok((live, Screen::new(cameras, noted, present::say).with_deck(deck, notes)))
}

/// Takes the pictures and lets them go, until it is over.
pub(super) fn without_window(screen: &mut Screen, mut done: impl FnMut() -> bool) {
    while !done() {
        screen.refresh(received_now().mono_ns);
        // A picture ends the wait.
        thread::park_timeout(PATIENCE);
    }
}

/// Whether it is time to stop: the user says so, every camera has sent its frames, or none of them ever will again.
pub(super) fn over(live: &Live, until: &Until) -> bool {
    let enough = |session: &oaktap::source::Session| {
        let decided = session.ledger().update(|stats| stats.frames.confirmed + stats.frames.withdrawn);
        session.ended() || until.frames.is_some_and(|frames| decided >= frames)
    };
    live.over() || live.sessions().all(enough)
}
