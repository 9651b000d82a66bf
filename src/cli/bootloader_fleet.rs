//! The cameras of a command that enters bootloaders: named, asked about once, worked on in turn, and listed at the end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use clap::Args;
use oaktap::discovery::{CameraState, PortProbe};
use oaktap::net::port_probe::probe_port;
use oaktap::sync::locked;

use super::camera_arg::{CameraArg, Located, runtime};
use super::camera_ends::{CameraEnd, CameraResult, End, document_failure, finish, report_failure};
use super::camera_label::CameraLabel;
use super::camera_session::{BootloaderCamera, EnterOptions, unless_stopped};
use super::configured_cameras::ConfiguredCamera;
use super::effect::{Asks, Effect};
use super::fleet::{FilePort, NamedCamera, configured_in, named_cameras};
use super::present::{self, Refused, Usage, WrongPort, advised, printable};
use super::{Ctx, application_wait};

/// The limit for a connection to the port that the user gave.
const PORT_PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Cameras that are queried at the same time.
const QUERIES_AT_ONCE: usize = 32;

/// Cameras whose bootloaders a command enters.
#[derive(Args, Clone, Debug)]
pub(crate) struct BootloaderFleetArgs {
    /// Addresses (IP, or IP:PORT of the bootloader), ids or starts of ids, or sim: for a simulated camera. NAME=CAMERA names
    /// a camera; with --config, a name of the file selects that camera
    #[arg(value_name = "CAMERA")]
    cameras: Vec<String>,

    /// Use the cameras of this file, with their names
    #[arg(long, value_name = "oaktap.toml", global = true)]
    config: Option<PathBuf>,

    #[command(flatten)]
    options: EnterOptions,
}

impl BootloaderFleetArgs {
    /// Returns the cameras for work with this effect.
    pub(crate) fn fleet(&self, effect: &Effect<'_>) -> anyhow::Result<BootloaderFleet> {
        let configured = configured_in(self.config.as_deref())?;
        if self.cameras.is_empty() && effect.named && !configured.is_empty() {
            let error = Usage(format!("no camera given; {} needs the name of each camera", effect.doing));
            return Err(advised(error.into(), format!("name them: {}", all_names(&configured))));
        }
        BootloaderFleet::new(&self.cameras, &configured, self.options.clone())
    }

    /// Returns the configuration file.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Returns the number of cameras on the command line.
    pub(crate) fn given(&self) -> usize {
        self.cameras.len()
    }
}

/// Returns the words that select all cameras of a configuration file.
fn all_names(configured: &[ConfiguredCamera]) -> String {
    configured.iter().map(ConfiguredCamera::word).collect::<Vec<_>>().join(" ")
}

/// The cameras of one command.
#[derive(Debug)]
pub(crate) struct BootloaderFleet {
    cameras: Vec<NamedCamera>,
    options: EnterOptions,
}

/// The result of looking at a camera before the question, while its application runs.
#[derive(Debug)]
pub(crate) enum Look<T> {
    /// It needs no work: it is neither listed in the question nor stopped.
    Done(T),
    /// It needs the work.
    Work {
        /// The reason, if the user may expect that it needs none.
        why: Option<String>,
    },
}

/// A camera whose turn it is. The user has agreed to the work.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) named: &'a NamedCamera,
    pub(crate) located: Located,
    options: &'a EnterOptions,
    /// The application of the camera has been stopped.
    stopped: Arc<AtomicBool>,
}

impl Turn<'_> {
    /// Returns the id of the camera, if it replied, and its name.
    pub(crate) fn label(&self) -> CameraLabel {
        let id = self.located.camera.as_ref().map(|camera| camera.id.clone());
        CameraLabel::new(id, self.named.name.clone(), self.located.ip.to_string())
    }

    /// Adds the id of the camera to the document of a failure.
    fn identified(&self, error: anyhow::Error) -> anyhow::Error {
        let mut fields = present::details(&error).cloned().unwrap_or_default();
        fields.insert("id".to_owned(), self.label().id.into());
        present::detailed(error, fields)
    }

    /// Stops the application of the camera and waits for its bootloader.
    pub(crate) async fn enter(&self, ctx: &Ctx) -> anyhow::Result<BootloaderCamera> {
        self.stopped.store(self.runs_an_application() && !ctx.stop.asked(), Ordering::Relaxed);
        let port_help = self.named.port_help.clone();
        let entered = self.options.enter(self.located.clone(), self.label().name, port_help, &ctx.stop).await;
        // Its host decides for how long a camera in use stays without its application.
        let is_in_use = entered.as_ref().is_err_and(present::is_refusal);
        self.stopped.fetch_and(!is_in_use, Ordering::Relaxed);
        entered
    }

    /// Returns whether the camera runs an application that the work stops.
    pub(crate) fn runs_an_application(&self) -> bool {
        self.located.camera.as_ref().is_some_and(|camera| camera.state == CameraState::FlashBooted)
    }

    /// Refuses the port of the application, before the application is stopped: the bootloader does not listen while an
    /// application runs, so a port that is open then is not that of the bootloader.
    async fn check_port(&self, command: &str) -> anyhow::Result<()> {
        let ip = self.located.ip;
        let Some(port) = self.located.port.filter(|_| self.runs_an_application()) else { return Ok(()) };
        if probe_port(ip, port, PORT_PROBE_TIMEOUT).await != PortProbe::Open {
            return Ok(());
        }
        let error = WrongPort(format!(
            "TCP port {port} of camera {} belongs to its running application, expected the port of its bootloader",
            self.label()
        ));
        let again = present::again_for(command, &[&self.named.word], &[self.named.word_without_port()]);
        let help = format!("nothing was changed; give the camera without the port: {again}");
        Err(advised(error.into(), printable(&help)))
    }

    /// Refuses a port on which no bootloader of another camera of this command listened, before the application is stopped
    /// for nothing.
    fn unless_unconnected(&self, unconnected: &[(u16, String)]) -> anyhow::Result<()> {
        let port = self.located.port.filter(|_| self.runs_an_application());
        let Some((port, other)) = unconnected.iter().find(|(other, _)| Some(*other) == port) else { return Ok(()) };
        let text = format!(
            "camera {} was not stopped, because the bootloader of camera {other} did not listen on TCP port {port}",
            self.label()
        );
        let word = self.named.word_without_port();
        let help = format!("nothing was changed; give the camera without the port: {word}");
        Err(advised(WrongPort(text).into(), help))
    }

    /// Searches for the camera again: hours may have passed since the user agreed.
    async fn refreshed(&self, ctx: &Ctx) -> anyhow::Result<Self> {
        let known = CameraArg::Address { ip: self.located.ip, port: self.located.port };
        // A simulated camera does not listen to the port that the user gave for the others.
        let camera = if self.named.camera.is_simulated() { &self.named.camera } else { &known };
        let located = self.options.locate(camera, &ctx.stop).await?;
        let ids = [&self.located, &located].map(|located| located.camera.as_ref().map(|camera| camera.id.clone()));
        if let [Some(before), Some(now)] = &ids
            && before != now
        {
            let error = Refused(format!("camera {now} replies at {} now, expected camera {before}", located.ip));
            return Err(advised(error.into(), "nothing was changed; `oaktap list` shows the addresses of the cameras"));
        }
        Ok(Self { located, stopped: Arc::clone(&self.stopped), ..*self })
    }
}

impl BootloaderFleet {
    /// Returns the cameras of these words, or without words those of the configuration file.
    pub(crate) fn new(
        words: &[String],
        configured: &[ConfiguredCamera],
        options: EnterOptions,
    ) -> anyhow::Result<Self> {
        Self::of(named_cameras(words, configured, FilePort::Drop)?, options)
    }

    /// Returns these cameras.
    pub(crate) fn of(cameras: Vec<NamedCamera>, options: EnterOptions) -> anyhow::Result<Self> {
        if cameras.is_empty() {
            let error = Usage("no camera given".to_owned());
            let help =
                "give the address or the id of a camera, or --config oaktap.toml; `oaktap list` shows all cameras";
            return Err(advised(error.into(), help));
        }
        Ok(Self { cameras, options })
    }

    /// Returns the number of cameras.
    pub(crate) fn len(&self) -> usize {
        self.cameras.len()
    }

    /// Returns whether all cameras are simulated.
    pub(crate) fn is_simulated(&self) -> bool {
        self.cameras.iter().all(|camera| camera.camera.is_simulated())
    }

    /// Searches for the cameras, asks once for consent, and does the work for each. If it fails for one of several, the
    /// others still get theirs, unless the effect says otherwise. Returns the results in the order of the cameras.
    ///
    /// # Errors
    /// The work failed for a camera.
    pub(crate) fn each<T: Send + CameraResult>(
        &self,
        ctx: &Ctx,
        effect: &Effect<'_>,
        work: impl Fn(&Turn<'_>) -> anyhow::Result<T> + Sync,
    ) -> anyhow::Result<Vec<T>> {
        self.each_checked(ctx, effect, |_| Ok(()), work)
    }

    /// Like [`Self::each`]. A camera for which `check` fails is neither listed in the question nor stopped.
    pub(crate) fn each_checked<T: Send + CameraResult>(
        &self,
        ctx: &Ctx,
        effect: &Effect<'_>,
        check: impl Fn(&Turn<'_>) -> anyhow::Result<()> + Sync,
        work: impl Fn(&Turn<'_>) -> anyhow::Result<T> + Sync,
    ) -> anyhow::Result<Vec<T>> {
        self.each_but(ctx, effect, |turn| check(turn).map(|()| Look::Work { why: None }), work, |_, error| error)
    }

    /// Like [`Self::each`]. `look` is the first to see each camera that replied: it returns the result of one that needs no
    /// work. `not_found` receives the error of each camera that has no turn, because the search for it failed.
    pub(crate) fn each_but<T: Send + CameraResult>(
        &self,
        ctx: &Ctx,
        effect: &Effect<'_>,
        look: impl Fn(&Turn<'_>) -> anyhow::Result<Look<T>> + Sync,
        work: impl Fn(&Turn<'_>) -> anyhow::Result<T> + Sync,
        not_found: impl Fn(&NamedCamera, anyhow::Error) -> anyhow::Error,
    ) -> anyhow::Result<Vec<T>> {
        let find = |camera| self.turn(ctx, camera).map_err(|error| not_found(camera, error));
        if let [camera] = self.cameras.as_slice() {
            let documented = |error| {
                let name = camera.name.as_deref();
                document_failure(ctx, &camera.camera.to_string(), name, &error).err().unwrap_or(error)
            };
            let turn = find(camera).map_err(documented)?;
            match look(&turn).map_err(|error| documented(turn.identified(error)))? {
                Look::Done(result) => return Ok(vec![result]),
                Look::Work { why } => say_reasons(&[(&turn, why)]),
            }
            self.consent(ctx, effect, &[&turn])?;
            let result = work(&turn).map_err(|error| documented(turn.identified(error)));
            if effect.waits.after(result.as_ref().err()) {
                wait_for_applications(ctx, &[&turn])?;
            }
            return Ok(vec![result?]);
        }
        let (mut turns, mut ends) = (Vec::<Option<Turn<'_>>>::new(), Vec::new());
        for camera in &self.cameras {
            let turn = match find(camera) {
                Err(error) if ctx.stop.asked() => return Err(error),
                Err(error) => {
                    report(ctx, camera, &error)?;
                    ends.push(End::Failed(error));
                    None
                }
                Ok(turn) => {
                    let known = turns.iter().flatten().find(|known| known.label().id == turn.label().id);
                    let same = known.map(|known| known.named.to_string());
                    ends.push(same.clone().map_or(End::NotTried, End::Same));
                    same.is_none().then_some(turn)
                }
            };
            turns.push(turn);
        }
        let mut reasons = Vec::new();
        for (at, seen) in look_at_all(&turns, look) {
            let Some(turn) = &turns[at] else { continue };
            match seen {
                Ok(Look::Done(result)) => ends[at] = End::Done(result),
                Ok(Look::Work { why }) => reasons.push((turn, why)),
                Err(error) if ctx.stop.asked() => return Err(error),
                Err(error) => {
                    let error = turn.identified(error);
                    report(ctx, turn.named, &error)?;
                    ends[at] = End::Failed(error);
                }
            }
        }
        say_reasons(&reasons);
        let failed = ends.iter().any(|end| matches!(end, End::Failed(_)));
        let is_open = |(turn, end)| matches!(end, &End::NotTried).then_some(turn).flatten();
        let asked: Vec<Option<&Turn<'_>>> = turns.iter().map(Option::as_ref).zip(&ends).map(is_open).collect();
        let turns_of_asked: Vec<_> = asked.iter().copied().flatten().collect();
        if !(turns_of_asked.is_empty() || failed && effect.stops_at_failure) {
            self.consent(ctx, effect, &turns_of_asked)?;
            work_through(ctx, effect, &asked, &mut ends, work)?;
            let waits =
                |end: &End<T>| effect.waits.after(if let End::Failed(error) = end { Some(error) } else { None });
            let waiting = asked.iter().zip(&ends).filter(|(_, end)| waits(end)).filter_map(|(turn, _)| *turn);
            wait_for_applications(ctx, &waiting.collect::<Vec<_>>())?;
        }
        let row = |((named, turn), end): ((&NamedCamera, &Option<Turn<'_>>), End<T>)| CameraEnd {
            camera: named.name.clone().unwrap_or_else(|| named.camera.to_string()),
            id: turn.as_ref().and_then(|turn| turn.label().id),
            address: turn.as_ref().map(|turn| turn.located.ip.to_string()),
            word: named.word.clone(),
            retry: match &end {
                End::Failed(error) if present::is_of_port(error) => named.word_without_port(),
                _ => named.word.clone(),
            },
            end,
        };
        finish(ctx, self.cameras.iter().zip(&turns).zip(ends).map(row).collect())
    }

    fn turn<'a>(&'a self, ctx: &Ctx, named: &'a NamedCamera) -> anyhow::Result<Turn<'a>> {
        let runtime = runtime()?;
        let located = runtime.block_on(self.options.locate(&named.camera, &ctx.stop))?;
        located.replied()?;
        let turn = Turn { named, located, options: &self.options, stopped: Arc::default() };
        let checked = runtime.block_on(unless_stopped(&ctx.stop, turn.check_port(ctx.command), || {
            "stopped; nothing was changed in the camera".to_owned()
        }))?;
        checked.map_err(|error| turn.identified(error))?;
        Ok(turn)
    }

    /// Asks the user once, with a list of the cameras, unless `--yes` is given.
    fn consent(&self, ctx: &Ctx, effect: &Effect<'_>, turns: &[&Turn<'_>]) -> anyhow::Result<()> {
        let stopped = turns.iter().filter(|turn| turn.runs_an_application()).count();
        let doing = effect.doing;
        let (what, list) = match turns {
            _ if effect.asks == Asks::Never || stopped == 0 && effect.asks == Asks::ToStop => return Ok(()),
            [turn] if stopped == 1 => {
                let label = turn.label();
                (format!("{doing}: this stops the application on camera {label} at {}", turn.located.ip), String::new())
            }
            [turn] => (format!("{doing}: camera {} at {}", turn.label(), turn.located.ip), String::new()),
            turns => {
                let line = |turn: &&Turn<'_>| {
                    let state = turn.located.camera.as_ref().map(|camera| format!(", {}", camera.state));
                    format!("\n  {} at {}{}", turn.label(), turn.located.ip, state.unwrap_or_default())
                };
                let stops = match stopped {
                    0 => String::new(),
                    stopped => format!("; this stops the application on {stopped} of them"),
                };
                let list = turns.iter().map(line).collect();
                (format!("{doing}: {} cameras{stops}", turns.len()), list)
            }
        };
        if self.options.yes {
            if !list.is_empty() {
                present::say(&format!("{what}{list}"));
            }
            return Ok(());
        }
        self.options.ask(&what, &list, &ctx.stop)
    }
}

/// Waits for the applications that the turns have stopped.
fn wait_for_applications(ctx: &Ctx, turns: &[&Turn<'_>]) -> anyhow::Result<()> {
    let stopped = turns.iter().filter(|turn| turn.stopped.load(Ordering::Relaxed));
    application_wait::until_running(&ctx.stop, &stopped.map(|turn| (turn.label(), &turn.located)).collect::<Vec<_>>())
}

/// Looks at the cameras that have a turn. Each may take seconds, so many are queried at once.
fn look_at_all<T: Send>(
    turns: &[Option<Turn<'_>>],
    look: impl Fn(&Turn<'_>) -> anyhow::Result<Look<T>> + Sync,
) -> Vec<(usize, anyhow::Result<Look<T>>)> {
    let look = &look;
    let turns: Vec<_> =
        turns.iter().enumerate().filter_map(|(at, turn)| turn.as_ref().map(|turn| (at, turn))).collect();
    let some = |turns: &[(usize, &Turn<'_>)]| {
        thread::scope(|scope| {
            let queries: Vec<_> = turns.iter().map(|&(at, turn)| (at, scope.spawn(move || look(turn)))).collect();
            let join = |(at, query): (usize, thread::ScopedJoinHandle<'_, anyhow::Result<Look<T>>>)| {
                (at, query.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            };
            queries.into_iter().map(join).collect::<Vec<_>>()
        })
    };
    turns.chunks(QUERIES_AT_ONCE).flat_map(some).collect()
}

/// Prints why cameras are stopped, once per reason.
fn say_reasons(reasons: &[(&Turn<'_>, Option<String>)]) {
    let mut said = Vec::new();
    for (_, why) in reasons {
        let Some(why) = why.as_ref().filter(|why| !said.contains(why)) else { continue };
        let same = reasons.iter().filter(|(_, other)| other.as_ref() == Some(why));
        let labels: Vec<_> = same.map(|(turn, _)| turn.label().to_string()).collect();
        present::say(&printable(&format!("{}: {why}", present::listed(&labels).trim_start())));
        said.push(why);
    }
}

/// Does the work for the cameras that have a turn, as many at a time as the effect says.
fn work_through<T: Send>(
    ctx: &Ctx,
    effect: &Effect<'_>,
    turns: &[Option<&Turn<'_>>],
    ends: &mut [End<T>],
    work: impl Fn(&Turn<'_>) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<()> {
    let (next, halted, done) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(Vec::new()));
    let unconnected = Mutex::new(Vec::new());
    let worker = || -> anyhow::Result<()> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= turns.len() || ctx.stop.asked() || halted.load(Ordering::Relaxed) {
                return Ok(());
            }
            let Some(turn) = turns[at] else { continue };
            let result = runtime()?
                .block_on(turn.refreshed(ctx))
                .and_then(|turn| turn.unless_unconnected(&locked(&unconnected)).map(|()| turn))
                .and_then(|turn| work(&turn))
                .map_err(|error| turn.identified(error));
            if let Err(error) = &result {
                // Report at once, not when the slowest camera is done.
                report(ctx, turn.named, error)?;
                let port = turn.located.port.filter(|_| present::is_unconnected(error));
                locked(&unconnected).extend(port.map(|port| (port, turn.label().to_string())));
                halted.fetch_or(effect.stops_at_failure, Ordering::Relaxed);
            }
            locked(&done).push((at, result));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..effect.jobs.min(turns.len())).map(|_| scope.spawn(worker)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, anyhow::Result<()>>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(join).collect::<anyhow::Result<Vec<()>>>()
    })?;
    for (at, result) in std::mem::take(&mut *locked(&done)) {
        ends[at] = result.into();
    }
    Ok(())
}

fn report(ctx: &Ctx, camera: &NamedCamera, error: &anyhow::Error) -> anyhow::Result<()> {
    report_failure(ctx, &camera.camera.to_string(), camera.name.as_deref(), error)
}
