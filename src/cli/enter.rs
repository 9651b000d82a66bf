//! Into the bootloader of a camera, and out of it again: what `info`, `flash`, `erase`, `network` and others have in
//! common.

use std::io::{BufRead as _, IsTerminal as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use oaktap::bootloader::{Caller, ClientError, Options, Progress, SettingsError, Told};
use oaktap::device::contract::{Contract, Endpoint};
use oaktap::discovery::{Camera, State};
use oaktap::net::discovery::{RESET_LIMIT, ResetError, reset_to_bootloader, wait_for};
use oaktap::net::proof::{FirstFrame, Unproved, first_frame, first_frame_of_guest, running};
use oaktap::net::talk::talk;
use oaktap::{wire, xlink};
use serde::Serialize;

use super::camera::{CAMERA, CameraArg, Located, SearchArgs};
use super::present::{self, Refused, Usage, advised, with_help};
use super::values;

/// How long a camera is waited for that starts anew.
const BACK: Duration = Duration::from_secs(30);

/// One camera, and how it is entered.
#[derive(Args, Clone, Debug)]
pub(crate) struct EnterArgs {
    /// The camera: its address, its id, or the beginning of its id
    #[arg(value_name = CAMERA)]
    pub(crate) camera: CameraArg,

    #[command(flatten)]
    pub(crate) how: How,
}

/// How a camera is entered.
#[derive(Args, Clone, Debug)]
pub(crate) struct How {
    /// Do not ask before the application on the camera is stopped
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,

    /// A camera may be silent for so long before it is given up
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::duration, global = true)]
    pub(crate) inactivity_timeout: Duration,

    #[command(flatten)]
    pub(crate) search: SearchArgs,
}

/// Whether the camera is waited for at the end.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Do not wait until the camera runs its application again
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// The TCP port of the application's stream [default: what the application says, or 5000]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) stream_port: Option<u16>,

    /// How long it may take until the camera runs its application, and then until the first frame comes
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = values::duration)]
    pub(crate) boot_timeout: Duration,
}

/// A camera that waits in its bootloader.
#[derive(Clone, Debug)]
pub(crate) struct Entered {
    /// What it says of itself.
    pub(crate) camera: Camera,
    ip: Ipv4Addr,
    port: u16,
    /// Whether an application ran before.
    pub(crate) was_running: bool,
    how: How,
}

impl EnterArgs {
    /// Finds the camera, asks, stops its application and waits until its bootloader is there.
    pub(crate) async fn enter(&self, why: &str) -> anyhow::Result<Entered> {
        self.how.enter(&self.camera, why).await
    }
}

impl How {
    /// As [`EnterArgs::enter`].
    pub(crate) async fn enter(&self, camera: &CameraArg, why: &str) -> anyhow::Result<Entered> {
        self.enter_at(camera.locate(&self.search).await?, why).await
    }

    /// As [`EnterArgs::enter`], for a camera that was looked for already.
    pub(crate) async fn enter_at(&self, located: Located, why: &str) -> anyhow::Result<Entered> {
        let Some(found) = located.camera else {
            return Err(advised(
                anyhow::anyhow!("no camera answers at {}, UDP port {}", located.ip, self.search.udp_port),
                "`oaktap doctor` finds out why",
            ));
        };
        let was_running = found.state != State::Bootloader;
        if found.state == State::FlashBooted {
            self.consent(&format!("{why}: the application on camera {} at {} will stop", found.id, located.ip))?;
        }
        if was_running {
            present::say(&format!("{}: entering the bootloader", found.id));
        }
        let camera = self.to_bootloader(located.ip).await?;
        let ip = camera.ip().unwrap_or(located.ip);
        Ok(Entered { camera, ip, port: located.port.unwrap_or(xlink::PORT), was_running, how: self.clone() })
    }

    /// Waits until the bootloader of the camera at this address is there. An application is stopped.
    async fn to_bootloader(&self, ip: Ipv4Addr) -> anyhow::Result<Camera> {
        reset_to_bootloader(ip, self.search.udp_port, RESET_LIMIT).await.map_err(|error| {
            let help = error.help();
            let refused = matches!(error, ResetError::InUse { .. });
            let error = if refused { Refused(error.to_string()).into() } else { anyhow::Error::from(error) };
            with_help(error, help)
        })
    }

    /// Asks the user, unless he has said yes.
    pub(crate) fn consent(&self, what: &str) -> anyhow::Result<()> {
        if self.yes { Ok(()) } else { ask(what) }
    }
}

/// Asks the user. Without a terminal there is nobody to ask.
fn ask(what: &str) -> anyhow::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Usage(format!("{what}; there is no terminal to ask you, so say --yes if that is wanted")).into());
    }
    present::say(&format!("{what}. Go on? [y/N]"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { anyhow::bail!("you said no; nothing was done") }
}

impl Entered {
    /// The same camera after a reset, in its bootloader again.
    pub(crate) async fn again(&self) -> anyhow::Result<Self> {
        let mut known = self.camera.ips();
        known.push(self.ip);
        let alive = |camera: &Camera| matches!(camera.state, State::Bootloader | State::FlashBooted);
        let id = &self.camera.id;
        let camera = wait_for(id, &known, self.udp_port(), BACK, alive).await?.ok_or_else(|| {
            let error = anyhow::anyhow!("camera {id} did not answer within {} s of its reset", BACK.as_secs());
            advised(error, "`oaktap list` and `oaktap doctor` look for it; power-cycle it if it stays away")
        })?;
        let ip = camera.ip().unwrap_or(self.ip);
        let camera = self.how.to_bootloader(ip).await?;
        Ok(Self { ip: camera.ip().unwrap_or(ip), camera, ..self.clone() })
    }

    /// Its bootloader's address.
    pub(crate) fn address(&self) -> SocketAddr {
        (self.ip, self.port).into()
    }

    /// The UDP port that it answers at.
    pub(crate) fn udp_port(&self) -> u16 {
        self.how.search.udp_port
    }

    /// Does this in one session, and shows how it goes. The camera is reset afterwards.
    pub(crate) async fn talk<T, F>(&self, task: impl FnOnce(Caller) -> F) -> anyhow::Result<T>
    where
        F: Future<Output = T> + 'static,
    {
        let mut shown = Shown::new(&self.camera.id);
        let options = Options { inactivity: self.how.inactivity_timeout };
        let result = talk(self.address(), options, |told| shown.show(told), task).await;
        shown.end();
        Ok(result?)
    }

    /// Waits until the camera runs its application again and the first frame of its stream has come, which has to be the
    /// one that was promised.
    pub(crate) async fn prove(&self, waiting: Waiting, contract: Option<&Contract>) -> anyhow::Result<Option<Running>> {
        if waiting.no_wait {
            present::say(&format!("{}: not waited for; `oaktap list` shows when it runs", self.camera.id));
            return Ok(None);
        }
        present::say(&format!("{}: waiting for the application", self.camera.id));
        let seen = running(&self.camera.id, &[self.ip], self.udp_port(), waiting.boot_timeout).await;
        let camera = seen.map_err(|error| {
            advised(
                error.into(),
                "is there an application in it? `oaktap info CAMERA` tells; `oaktap list` shows what it does",
            )
        })?;
        let ip = camera.ip().unwrap_or(self.ip);
        let usual = Endpoint { host: None, port: wire::PORT };
        let endpoint = contract.and_then(|contract| contract.endpoint).unwrap_or(usual);
        let port = waiting.stream_port.unwrap_or(endpoint.port);
        let frame = match endpoint.host {
            None => first_frame((ip, port).into(), contract, waiting.boot_timeout).await,
            Some(host) => first_frame_of_guest((host, port).into(), contract, waiting.boot_timeout).await,
        };
        let first_frame = match frame {
            Ok(frame) => {
                present::say(&format!("{}: {frame}", self.camera.id));
                Some(frame)
            }
            Err(error @ Unproved::Elsewhere { .. }) => {
                present::say(&format!("{}: the first frame was not waited for: {error}", self.camera.id));
                None
            }
            Err(error @ Unproved::Other { .. }) => {
                let help = "the camera booted something else: `oaktap info CAMERA` tells what is in its memories, and \
                            --memory which one is written";
                return Err(advised(error.into(), help));
            }
            Err(error) => {
                let help = "the camera runs an application; if its stream has another port, --stream-port names it, and \
                            for one without a stream there is --no-wait";
                return Err(advised(error.into(), help));
            }
        };
        Ok(Some(Running { state: camera.state.name(), first_frame }))
    }
}

/// What a camera showed after a reset.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Running {
    /// What it says of itself.
    state: &'static str,
    /// What its stream began with; none if it goes to another host.
    first_frame: Option<FirstFrame>,
}

impl Running {
    /// Where its stream came from.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.first_frame.as_ref().map(|frame| frame.address)
    }
}

/// An error of a camera; a refusal has an exit code of its own.
pub(crate) fn camera_error(error: ClientError) -> anyhow::Error {
    if error.is_refusal() { Refused(error.to_string()).into() } else { error.into() }
}

/// An error with a camera's configuration.
pub(crate) fn settings_error(error: SettingsError) -> anyhow::Error {
    match error {
        SettingsError::Camera(error) => camera_error(error),
        SettingsError::Config(error) => {
            let help = error.help();
            advised(error.into(), help)
        }
        error => error.into(),
    }
}

/// The course of a session, in the last line of the terminal.
struct Shown {
    id: String,
    bar: bool,
    what: String,
    since: std::time::Instant,
}

impl Shown {
    fn new(id: &str) -> Self {
        let bar = std::io::stderr().is_terminal();
        Self { id: id.to_owned(), bar, what: String::new(), since: std::time::Instant::now() }
    }

    fn show(&mut self, told: &Told) {
        match told {
            Told::Begun(what) => {
                self.what.clone_from(what);
                self.since = std::time::Instant::now();
                present::say(&format!("{}: {what}", self.id));
            }
            Told::Progress(progress) if self.bar => present::status_of(&self.id, &self.line(*progress)),
            Told::Progress(_) => {}
        }
    }

    fn line(&self, progress: Progress) -> String {
        let Self { id, what, .. } = self;
        match progress {
            Progress::Sent { bytes, total } | Progress::Read { bytes, total } => {
                let seconds = self.since.elapsed().as_secs_f64().max(1e-3);
                let rate = bytes as f64 / seconds;
                let left = (total.saturating_sub(bytes)) as f64 / rate.max(1.0);
                let percent = 100.0 * bytes as f64 / total.max(1) as f64;
                format!("{id}: {what}: {percent:3.0} %, {:.1} MB/s, {left:.0} s left", rate / 1e6)
            }
            Progress::Written(share) => format!("{id}: the camera writes: {:3.0} %", 100.0 * share),
        }
    }

    fn end(&self) {
        if self.bar {
            present::status_of(&self.id, "");
        }
    }
}
