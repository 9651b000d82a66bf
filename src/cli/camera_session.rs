//! Enters the bootloader of a camera, runs a session with it, and waits until the application runs again.

use std::io::{BufRead as _, IsTerminal as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use oaktap::bootloader::{Caller, ClientOptions, ConversationEvent, TransferProgress};
use oaktap::device::contract::{Contract, Endpoint};
use oaktap::discovery::{CameraState, DiscoveredCamera, is_camera_id};
use oaktap::net::discovery::{RESET_TIMEOUT, ResetError, reset_to_bootloader, wait_for};
use oaktap::net::startup::{FirstFrame, StartupError, accept_first_frame, wait_for_first_frame, wait_until_running};
use oaktap::net::talk::talk;
use oaktap::{wire, xlink};
use serde::Serialize;

use super::camera_arg::{CameraArg, Located, SearchArgs};
use super::present::{self, Refused, Usage, advised, with_help};
use super::value_parsers;

/// Time to wait for a camera to answer after a reset.
const REAPPEAR_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Args, Clone, Debug)]
pub(crate) struct EnterArgs {
    /// Address (IP or IP:PORT), id or start of an id, or sim: for a simulated camera
    #[arg(value_name = "CAMERA")]
    pub(crate) camera: CameraArg,

    #[command(flatten)]
    pub(crate) options: EnterOptions,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct EnterOptions {
    /// Do not ask before stopping the application on the camera
    #[arg(short, long, global = true, display_order = 900)]
    pub(crate) yes: bool,

    /// Give up when the camera has not answered for this long
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = value_parsers::duration, global = true,
          display_order = 901)]
    pub(crate) inactivity_timeout: Duration,

    #[command(flatten)]
    pub(crate) search: SearchArgs,
}

/// Options of the wait for the application.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct BootWaitArgs {
    /// Do not wait until the application runs
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// TCP port of the application's stream [default: the port in the application's contract, or 5000]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) stream_port: Option<u16>,

    /// Wait at most this long for the application, and then for its first frame
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = value_parsers::duration)]
    pub(crate) boot_timeout: Duration,
}

/// A camera that waits in its bootloader.
#[derive(Clone, Debug)]
pub(crate) struct BootloaderCamera {
    /// Its last discovery reply.
    pub(crate) camera: DiscoveredCamera,
    ip: Ipv4Addr,
    port: u16,
    /// `true` if it was not in its bootloader before.
    pub(crate) was_running: bool,
    options: EnterOptions,
}

impl EnterArgs {
    /// Finds the camera, asks for consent, stops its application and waits for its bootloader. `why` begins the question.
    pub(crate) async fn enter(&self, why: &str) -> anyhow::Result<BootloaderCamera> {
        self.options.enter(&self.camera, why).await
    }
}

impl EnterOptions {
    /// Like [`EnterArgs::enter`].
    pub(crate) async fn enter(&self, camera: &CameraArg, why: &str) -> anyhow::Result<BootloaderCamera> {
        self.enter_at(camera.locate(&self.search).await?, why).await
    }

    /// Like [`EnterArgs::enter`], for a camera that has been searched for.
    pub(crate) async fn enter_at(&self, located: Located, why: &str) -> anyhow::Result<BootloaderCamera> {
        let Some(found) = located.camera else {
            let (ip, port) = (located.ip, self.search.udp_port);
            let error = match located.rejected {
                Some(error) => anyhow::anyhow!("the reply from {ip}, UDP port {port}, is not from a camera: {error}"),
                None => anyhow::anyhow!("no reply from a camera at {ip}, UDP port {port}"),
            };
            return Err(advised(error, "`oaktap doctor` finds out why"));
        };
        let was_running = found.state != CameraState::Bootloader;
        if found.state == CameraState::FlashBooted {
            self.consent(&format!("{why}: this stops the application on camera {} at {}", found.id, located.ip))?;
        }
        if was_running {
            present::say(&format!("{}: entering the bootloader", found.id));
        }
        let camera = self.to_bootloader(located.ip).await?;
        let ip = preferred(&camera, located.ip);
        Ok(BootloaderCamera {
            camera,
            ip,
            port: located.port.unwrap_or(xlink::PORT),
            was_running,
            options: self.clone(),
        })
    }

    /// Resets the camera at this address into its bootloader, unless it is there already.
    async fn to_bootloader(&self, ip: Ipv4Addr) -> anyhow::Result<DiscoveredCamera> {
        reset_to_bootloader(ip, self.search.udp_port, RESET_TIMEOUT).await.map_err(|error| {
            let help = error.help();
            let refused = matches!(error, ResetError::InUse { .. });
            let error = if refused { Refused(error.to_string()).into() } else { anyhow::Error::from(error) };
            with_help(error, help)
        })
    }

    /// Asks the user for consent, unless `--yes` is given.
    pub(crate) fn consent(&self, what: &str) -> anyhow::Result<()> {
        if self.yes { Ok(()) } else { ask(what) }
    }
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

fn ask(what: &str) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Usage(format!("{what}; standard input is not a terminal, so confirm with --yes")).into());
    }
    present::say(&format!("{what}. Continue? [y/N]"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { anyhow::bail!("cancelled; nothing was changed") }
}

impl BootloaderCamera {
    /// Waits for the camera after a reset and enters its bootloader again.
    pub(crate) async fn reenter(&self) -> anyhow::Result<Self> {
        let mut known = self.camera.ips();
        known.push(self.ip);
        let alive =
            |camera: &DiscoveredCamera| matches!(camera.state, CameraState::Bootloader | CameraState::FlashBooted);
        let id = &self.camera.id;
        let camera = wait_for(id, &known, self.udp_port(), REAPPEAR_TIMEOUT, alive).await?.ok_or_else(|| {
            let error =
                anyhow::anyhow!("camera {id} did not answer within {} s of its reset", REAPPEAR_TIMEOUT.as_secs());
            advised(error, "run `oaktap list` or `oaktap doctor`; power-cycle the camera if neither finds it")
        })?;
        let camera = self.options.to_bootloader(preferred(&camera, self.ip)).await?;
        Ok(Self { ip: preferred(&camera, self.ip), camera, ..self.clone() })
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
    pub(crate) fn udp_port(&self) -> u16 {
        self.options.search.udp_port
    }

    /// Runs `task` in one session and shows its progress. The session ends with a reset of the camera.
    pub(crate) async fn talk<T, F>(&self, task: impl FnOnce(Caller) -> F) -> anyhow::Result<T>
    where
        F: Future<Output = T> + 'static,
    {
        let mut progress = SessionProgress::new(&self.camera.id);
        let options = ClientOptions { inactivity_timeout: self.options.inactivity_timeout };
        let result = talk(self.address(), options, |told| progress.show(told), task).await;
        progress.end();
        Ok(result?)
    }

    /// Waits until the camera runs its application and has sent a first frame that matches the contract. Returns `None` if
    /// the user does not want to wait.
    pub(crate) async fn wait_until_running(
        &self,
        waiting: BootWaitArgs,
        contract: Option<&Contract>,
    ) -> anyhow::Result<Option<RunningApplication>> {
        if waiting.no_wait {
            present::say(&format!(
                "{}: not waiting for the application; `oaktap list` shows when it runs",
                self.camera.id
            ));
            return Ok(None);
        }
        present::say(&format!("{}: waiting for the application", self.camera.id));
        let (id, ip) = (&self.camera.id, self.ip);
        let runs = async |limit| {
            wait_until_running(id, ip, self.udp_port(), limit).await.map_err(|error| {
                let help =
                    "`oaktap info CAMERA` shows whether the camera has an application, `oaktap list` what it is doing";
                advised(error.into(), help)
            })
        };
        runs(waiting.boot_timeout).await?;
        let default = Endpoint { host: None, port: wire::PORT };
        let endpoint = contract.and_then(|contract| contract.endpoint).unwrap_or(default);
        let port = waiting.stream_port.unwrap_or(endpoint.port);
        let frame = match endpoint.host {
            None => wait_for_first_frame(id, (ip, port).into(), contract, waiting.boot_timeout).await,
            Some(host) => accept_first_frame(id, ip, (host, port).into(), contract, waiting.boot_timeout).await,
        };
        let first_frame = match frame {
            Ok(frame) => {
                present::say(&format!("{}: {frame}", self.camera.id));
                Some(frame)
            }
            Err(error @ StartupError::CannotListen { .. }) => {
                present::say(&format!("{}: not waiting for the first frame: {error}", self.camera.id));
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
        let state = runs(waiting.boot_timeout).await?;
        Ok(Some(RunningApplication { state: state.name(), first_frame }))
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

/// The progress of a session, in the status line.
struct SessionProgress {
    id: String,
    bar: bool,
    what: String,
    since: std::time::Instant,
}

impl SessionProgress {
    fn new(id: &str) -> Self {
        let bar = std::io::stderr().is_terminal();
        Self { id: id.to_owned(), bar, what: String::new(), since: std::time::Instant::now() }
    }

    fn show(&mut self, told: &ConversationEvent) {
        match told {
            ConversationEvent::Step(what) => {
                self.what.clone_from(what);
                self.since = std::time::Instant::now();
                present::say(&format!("{}: {what}", self.id));
            }
            ConversationEvent::Progress(progress) if self.bar => present::status_of(&self.id, &self.line(*progress)),
            ConversationEvent::Progress(_) => {}
        }
    }

    fn line(&self, progress: TransferProgress) -> String {
        let Self { id, what, .. } = self;
        match progress {
            TransferProgress::Sent { bytes, total } | TransferProgress::Read { bytes, total } => {
                let seconds = self.since.elapsed().as_secs_f64().max(1e-3);
                let rate = bytes as f64 / seconds;
                let left = (total.saturating_sub(bytes)) as f64 / rate.max(1.0);
                let percent = 100.0 * bytes as f64 / total.max(1) as f64;
                format!("{id}: {what}: {percent:3.0} %, {:.1} MB/s, {left:.0} s left", rate / 1e6)
            }
            TransferProgress::Written(share) => format!("{id}: the camera is writing: {:3.0} %", 100.0 * share),
        }
    }

    fn end(&self) {
        if self.bar {
            present::status_of(&self.id, "");
        }
    }
}
