//! Enters the bootloader of a camera, runs a session with it, and waits until the application runs again.

use std::io::{BufRead as _, IsTerminal as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use clap::Args;
use oaktap::bootloader::{Caller, ClientOptions};
use oaktap::device::app::Transport;
use oaktap::device::contract::{Contract, Endpoint};
use oaktap::discovery::{CameraState, DiscoveredCamera, is_camera_id};
use oaktap::net::discovery::{RESET_TIMEOUT, ResetError, reset_to_bootloader, wait_for};
use oaktap::net::startup::{
    ExpectedStream, FirstFrame, StartupError, accept_first_frame, receive_first_frame, wait_for_first_frame,
    wait_until_running,
};
use oaktap::net::talk::{TalkError, talk};
use oaktap::{wire, xlink};
use serde::Serialize;

use super::camera_arg::{CameraArg, Located, SearchArgs};
use super::camera_label::CameraLabel;
use super::present::{self, Refused, Usage, advised, stopped, with_help};
use super::session_progress::SessionProgress;
use super::signals::Stop;
use super::value_parsers;

/// How often a question checks whether the user has stopped.
const ANSWER_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Time to wait, beside that of two frames, until a camera that runs an application has identified it.
const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(3);
/// Time without a frame after which the user is reminded of the port.
const REMINDER_AFTER: Duration = Duration::from_secs(10);
/// Held while this host waits for the connection of a camera.
static ACCEPTS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// Time to wait for a camera to answer after a reset.
const REAPPEAR_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Args, Clone, Debug)]
pub(crate) struct EnterOptions {
    /// Do not ask before stopping an application or changing a camera
    #[arg(short, long, global = true, display_order = 900)]
    pub(crate) yes: bool,

    /// Give up when the camera has not answered for this long [default: 60s, or 90s after a change of its network settings]
    #[arg(id = "answer_timeout", long = "idle-timeout", value_name = "TIME", global = true,
          value_parser = value_parsers::duration, display_order = 901)]
    pub(crate) idle_timeout: Option<Duration>,

    #[command(flatten)]
    pub(crate) search: SearchArgs,
}

/// Options of the wait for the application.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct BootWaitArgs {
    /// Do not wait until the application runs
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// TCP port of the application's stream [default: that of the application to flash, or 5000]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) stream_port: Option<u16>,

    /// Wait at most this long for the application, and then for its first frame
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = value_parsers::duration)]
    pub(crate) boot_timeout: Duration,
}

impl BootWaitArgs {
    /// Returns whether the port of the stream is used and not given.
    pub(crate) fn needs_port(self) -> bool {
        !self.no_wait && self.stream_port.is_none()
    }

    /// Waits for the first frame of the camera at this address. Connects to it, or waits for its connection, as its contract
    /// says.
    async fn first_frame(
        self,
        expected: ExpectedStream<'_>,
        ip: Ipv4Addr,
        limit: Duration,
    ) -> Result<FirstFrame, StartupError> {
        let default = Endpoint { host: None, port: wire::PORT, transport: Transport::Tcp };
        let endpoint = expected.contract.and_then(|contract| contract.endpoint).unwrap_or(default);
        let port = self.stream_port.unwrap_or(endpoint.port);
        match endpoint.host {
            None => wait_for_first_frame(expected, (ip, port).into(), limit).await,
            Some(host) => {
                // Cameras that connect to the same port of this host are accepted one after the other.
                let _turn = ACCEPTS.lock().await;
                let address = (host, port).into();
                match endpoint.transport {
                    Transport::Tcp => accept_first_frame(expected, ip, address, limit).await,
                    Transport::Udp => receive_first_frame(expected, ip, address, limit).await,
                }
            }
        }
    }

    /// Returns the application of a camera that runs it and streams, if it is this one. Does not stop it.
    pub(crate) async fn application(
        self,
        expected: ExpectedStream<'_>,
        ip: Ipv4Addr,
    ) -> Result<RunningApplication, StartupError> {
        let fps = expected.contract.map_or(1.0, |contract| contract.fps).max(0.01);
        let limit = IDENTIFY_TIMEOUT + Duration::from_secs_f32(2.0 / fps);
        let first_frame = self.first_frame(expected, ip, limit).await?;
        Ok(RunningApplication { state: CameraState::FlashBooted.name(), first_frame: Some(first_frame) })
    }

    /// Uses this port unless one was given.
    pub(crate) fn at(self, port: Option<u16>) -> Self {
        Self { stream_port: self.stream_port.or(port), ..self }
    }
}

/// A camera that waits in its bootloader.
#[derive(Clone, Debug)]
pub(crate) struct BootloaderCamera {
    /// Its id and its name.
    pub(crate) label: CameraLabel,
    /// Its last discovery reply.
    pub(crate) camera: DiscoveredCamera,
    ip: Ipv4Addr,
    port: u16,
    udp_port: u16,
    /// Help if it cannot be reached at this port, which the user did not give.
    port_help: Option<String>,
    options: EnterOptions,
    stop: Stop,
}

impl EnterOptions {
    /// Searches for the camera, until the user stops.
    pub(crate) async fn locate(&self, camera: &CameraArg, stop: &Stop) -> anyhow::Result<Located> {
        stop.on_signals()?;
        unless_stopped(stop, camera.locate(&self.search), || "stopped; nothing was sent to the camera".into()).await?
    }

    /// Stops the application of the camera and waits for its bootloader. The user has agreed to that.
    ///
    /// A stop after the camera was reset takes effect in [`BootloaderCamera::talk`], which lets it leave its bootloader.
    pub(crate) async fn enter(
        &self,
        located: Located,
        name: Option<String>,
        port_help: Option<String>,
        stop: &Stop,
    ) -> anyhow::Result<BootloaderCamera> {
        let found = located.replied()?;
        let resets = !matches!(found.state, CameraState::Bootloader | CameraState::Booted);
        if stop.asked() {
            return Err(stopped("stopped; nothing was changed in the camera"));
        }
        if resets {
            present::say(&format!("{}: entering the bootloader", CameraLabel::found(found.id, name.clone())));
        }
        let camera = to_bootloader(located.ip, located.udp_port).await?;
        let ip = preferred(&camera, located.ip);
        Ok(BootloaderCamera {
            label: CameraLabel::found(camera.id.clone(), name),
            camera,
            ip,
            port: located.port.unwrap_or(xlink::PORT),
            udp_port: located.udp_port,
            port_help,
            options: self.clone(),
            stop: stop.clone(),
        })
    }

    /// Asks the user for consent. The list is printed below the question.
    pub(crate) fn ask(&self, what: &str, list: &str, stop: &Stop) -> anyhow::Result<()> {
        if !std::io::stdin().is_terminal() {
            return Err(Usage(format!("{what}; standard input is not a terminal, so confirm with --yes")).into());
        }
        let end = if list.is_empty() { ". " } else { "\n" };
        present::always_say(&format!("{what}{list}{end}Continue? [y/N]"));
        if matches!(answer(stop)?.trim(), "y" | "Y" | "yes") {
            Ok(())
        } else {
            anyhow::bail!("cancelled; nothing was changed")
        }
    }
}

/// Resets the camera at this address into its bootloader, unless it is there already.
async fn to_bootloader(ip: Ipv4Addr, udp_port: u16) -> anyhow::Result<DiscoveredCamera> {
    reset_to_bootloader(ip, udp_port, RESET_TIMEOUT).await.map_err(|error| {
        let help = error.help();
        let refused = matches!(error, ResetError::InUse { .. });
        let error = if refused { Refused(error.to_string()).into() } else { anyhow::Error::from(error) };
        with_help(error, help)
    })
}

/// Returns the id of a camera for use in the name of a file. Discovery accepts no other ids, but a file that is written
/// outside of its folder would be too bad to depend on that.
pub(crate) fn file_stem(id: &str) -> anyhow::Result<&str> {
    anyhow::ensure!(is_camera_id(id), "camera id `{}` cannot be part of a file name", present::printable(id));
    Ok(id)
}

/// Returns the address that was used before if the camera still answers from it: another device may claim its id.
fn preferred(camera: &DiscoveredCamera, before: Ipv4Addr) -> Ipv4Addr {
    camera.ip().filter(|_| !camera.ips().contains(&before)).unwrap_or(before)
}

/// Awaits `work`, unless the user stops first. `state` describes the camera then.
pub(crate) async fn unless_stopped<T>(
    stop: &Stop,
    work: impl Future<Output = T>,
    state: impl Fn() -> String,
) -> anyhow::Result<T> {
    let mut signals = stop.signals();
    tokio::select! {
        done = work => Ok(done),
        Ok(_) = signals.wait_for(|count| *count > 0) => Err(stopped(state())),
    }
}

/// Reads a line from standard input, unless the user stops first.
pub(crate) fn answer(stop: &Stop) -> anyhow::Result<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    // The end of the process ends this thread too.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        // An error means that the user has stopped.
        let _ = sender.send(read.map(|_| answer));
    });
    loop {
        match receiver.recv_timeout(ANSWER_CHECK_INTERVAL) {
            Ok(answer) => return Ok(answer?),
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!("cannot read standard input"),
            Err(RecvTimeoutError::Timeout) if stop.asked() => {
                return Err(stopped("stopped; nothing was changed in the camera"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

impl BootloaderCamera {
    /// Waits for the camera after a reset and enters its bootloader again.
    pub(crate) async fn reenter(&self) -> anyhow::Result<Self> {
        let mut known = self.camera.ips();
        known.push(self.ip);
        let alive =
            |camera: &DiscoveredCamera| matches!(camera.state, CameraState::Bootloader | CameraState::FlashBooted);
        let id = &self.camera.id;
        let found = wait_for(id, &known, self.udp_port, REAPPEAR_TIMEOUT, alive);
        let camera = self.unless_stopped(found, "waiting for the camera after its reset").await??.ok_or_else(|| {
            let error =
                anyhow::anyhow!("camera {id} did not answer within {} s of its reset", REAPPEAR_TIMEOUT.as_secs());
            advised(error, "run `oaktap list` or `oaktap doctor`; power-cycle the camera if neither finds it")
        })?;
        let camera = to_bootloader(preferred(&camera, self.ip), self.udp_port).await?;
        Ok(Self { ip: preferred(&camera, self.ip), camera, ..self.clone() })
    }

    /// Awaits `work`, during which the camera boots by itself, unless the user stops first.
    pub(crate) async fn unless_stopped<T>(&self, work: impl Future<Output = T>, what: &str) -> anyhow::Result<T> {
        let id = &self.camera.id;
        unless_stopped(&self.stop, work, || format!("stopped while {what}; camera {id} boots by itself")).await
    }

    /// Returns the id for use in the name of a file.
    pub(crate) fn file_stem(&self) -> anyhow::Result<&str> {
        file_stem(&self.camera.id)
    }

    /// Returns the address of its bootloader.
    pub(crate) fn address(&self) -> SocketAddr {
        (self.ip, self.port).into()
    }

    /// Returns the UDP port of its discovery service.
    pub(crate) const fn udp_port(&self) -> u16 {
        self.udp_port
    }

    /// Returns how long to wait for an answer: `default`, unless the user gave a time.
    pub(crate) fn answer_limit(&self, default: Duration) -> Duration {
        self.options.idle_timeout.unwrap_or(default)
    }

    /// Runs `task` in one session and shows its progress. The session ends with a reset of the camera.
    pub(crate) async fn talk<T, F>(&self, task: impl FnOnce(Caller) -> F) -> anyhow::Result<T>
    where
        F: Future<Output = T> + 'static,
    {
        let mut progress = SessionProgress::new(&self.label, &self.stop);
        let options = self.options.idle_timeout.map(|inactivity_timeout| ClientOptions { inactivity_timeout });
        let options = options.unwrap_or_default();
        let result = talk(self.address(), options, self.stop.signals(), |told| progress.show(told), task).await;
        progress.end();
        result.map_err(|error| self.unreachable(error))
    }

    /// Adds the state of the camera, whose application may have been stopped for this session.
    fn unreachable(&self, error: TalkError) -> anyhow::Error {
        let (id, ip) = (&self.camera.id, self.ip);
        let text =
            format!("camera {id} entered its bootloader, which boots the application by itself: by default after 30 s");
        let help = match (self.port, &self.port_help) {
            (xlink::PORT, Some(help)) => help.clone(),
            (xlink::PORT, None) => {
                "allow the port in every firewall on the path; power-cycle the camera if it does not boot".into()
            }
            _ => format!(
                "give the camera without the port, unless it is forwarded to port {} of the camera; `oaktap boot {ip}` boots \
                 the application at once",
                xlink::PORT
            ),
        };
        advised(anyhow::Error::new(error).context(text), help)
    }

    /// Waits until the camera runs its application and has sent a first frame that matches the contract and the identifier
    /// of the package. Returns `None` if the user does not want to wait.
    pub(crate) async fn wait_until_running(
        &self,
        waiting: BootWaitArgs,
        contract: Option<&Contract>,
        build: Option<&str>,
    ) -> anyhow::Result<Option<RunningApplication>> {
        if waiting.no_wait {
            present::say(&format!("{}: not waiting for the application; `oaktap list` shows when it runs", self.label));
            return Ok(None);
        }
        let seconds = waiting.boot_timeout.as_secs_f32();
        present::say(&format!("{}: waiting for the application, at most {seconds} s", self.label));
        let (id, ip) = (&self.camera.id, self.ip);
        let runs = async |limit| {
            wait_until_running(id, ip, self.udp_port, limit).await.map_err(|error| {
                let help =
                    "`oaktap info CAMERA` shows whether the camera has an application, `oaktap list` what it is doing";
                advised(error.into(), help)
            })
        };
        self.unless_stopped(runs(waiting.boot_timeout), "waiting for the application").await??;
        let expected = ExpectedStream { id, contract, build };
        let frame = reminded(waiting.first_frame(expected, ip, waiting.boot_timeout), || {
            let text = "runs its application, but has sent no frame yet";
            present::say(&format!("{}: {text}; if its stream uses another port, give --stream-port", self.label));
        });
        let first_frame = match self.unless_stopped(frame, "waiting for the first frame").await? {
            Ok(frame) => {
                present::say(&format!("{}: {frame}", self.label));
                Some(frame)
            }
            Err(error @ StartupError::CannotListen { .. }) => {
                present::say(&format!("{}: not waiting for the first frame: {error}", self.label));
                None
            }
            Err(error @ StartupError::UnexpectedApplication { .. }) => {
                let help = "the camera booted another application: `oaktap info CAMERA` shows the applications in its \
                            memories, and --memory selects the one to write";
                return Err(advised(error.into(), help));
            }
            Err(error) => {
                let help = "the camera runs an application; if its stream uses another port, give --stream-port; if it has no \
                            stream, give --no-wait";
                return Err(advised(error.into(), help));
            }
        };
        // A camera whose application ends with its first frame is back in its bootloader now.
        let state = self.unless_stopped(runs(waiting.boot_timeout), "waiting for the application").await??;
        Ok(Some(RunningApplication { state: state.name(), first_frame }))
    }
}

/// Awaits `work`, and calls `remind` once if that takes long.
async fn reminded<T>(work: impl Future<Output = T>, remind: impl FnOnce()) -> T {
    let mut work = std::pin::pin!(work);
    match tokio::time::timeout(REMINDER_AFTER, &mut work).await {
        Ok(done) => done,
        Err(_) => {
            remind();
            work.await
        }
    }
}

/// An application that was seen to run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunningApplication {
    /// The state in its discovery reply.
    state: &'static str,
    /// The first frame of its stream. `None` if the camera streams to another host.
    first_frame: Option<FirstFrame>,
}

impl RunningApplication {
    /// Returns the address from which its stream came.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.first_frame.as_ref().map(|frame| frame.address)
    }
}
