//! `oaktap simulate --bootloader`: a whole camera, that is found, asked and flashed, and streams once it runs an
//! application.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;
use oaktap::sim::bootloader::{Account, CameraConfig, CameraSimulator, Doing, MemorySpec, Place, StartError};
use serde::Serialize;

use super::SimulateArgs;
use crate::cli::{Ctx, Outcome, present};

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "The camera's bootloader")]
pub(crate) struct BootloaderArgs {
    /// Simulate a whole camera: one that is found, asked and flashed, and streams once it runs an application
    #[arg(long)]
    pub(super) bootloader: bool,

    /// One more address of the same camera; the first is that of --listen. Can be given several times
    #[arg(long, value_name = "IP", requires = "bootloader")]
    address: Vec<Ipv4Addr>,

    /// Where it is found; 0 is a free port
    #[arg(long, value_name = "PORT", requires = "bootloader", default_value_t = oaktap::discovery::PORT)]
    discovery_port: u16,

    /// Where its bootloader listens; 0 is a free port
    #[arg(long, value_name = "PORT", requires = "bootloader", default_value_t = oaktap::xlink::PORT)]
    link_port: u16,

    /// Its id [default: 14442C10D13EABCE00]
    #[arg(long, value_name = "ID")]
    pub(super) id: Option<String>,

    /// Version of its bootloader [default: 0.0.28]
    #[arg(long, value_name = "VERSION", requires = "bootloader")]
    bootloader_version: Option<String>,

    /// What it is doing when it is met: bootloader, application or in-use [default: bootloader]
    #[arg(long, value_name = "STATE", requires = "bootloader")]
    state: Option<String>,

    /// Size of its flash: 16MiB, 32MiB and so on [default: 128MiB, or the size of the file]
    #[arg(long, value_name = "SIZE", requires = "bootloader")]
    nor: Option<String>,

    /// Keep its flash in this file, which is made when it is not there
    #[arg(long, value_name = "FILE", requires = "bootloader")]
    nor_file: Option<PathBuf>,

    /// Give it an eMMC of this size
    #[arg(long, value_name = "SIZE", requires = "bootloader")]
    emmc: Option<String>,

    /// Give it an eMMC in this file
    #[arg(long, value_name = "FILE", requires = "bootloader")]
    emmc_file: Option<PathBuf>,

    /// Run the program of this application package; with --bootloader, have it in the flash from the start
    #[arg(long, value_name = "FILE.dap")]
    pub(super) app: Option<PathBuf>,

    /// Run whatever Script is flashed, not only that of this oaktap. Whoever reaches the camera can then run programs here
    #[arg(long, requires = "bootloader")]
    run_scripts: bool,

    /// What goes wrong with it, and how often: refuse, refuse-late:0.5, drop:BYTE, drop-progress:0.5*1,
    /// drop-output:BYTE, stall-progress:0.5, freeze:BYTE, bad-response, short-response, no-credit, not-written,
    /// corrupt:BYTE, config-refused, config-not-written, no-boot, silent, taken, vanish, deaf, mute. Can be given several
    /// times
    #[arg(long, value_name = "FAULT[*TIMES]", requires = "bootloader")]
    camera_fault: Vec<String>,

    /// Anything else of it: type=usb, claims=0.0.20, image=0.0.29, commit=TEXT, open=first|after|never, stale=on,
    /// packet=1MiB, write-rate=2MiB, wait=30s, wait-again=300ms, restart=50ms, watchdog=30s, answer=extended|both,
    /// broadcast=off, ethernet=100half, bandwidth=10Mbit, delay=100ms. Can be given several times
    #[arg(long, value_name = "KEY=VALUE", requires = "bootloader")]
    set: Vec<String>,
}

impl BootloaderArgs {
    /// The camera that is meant; `stream` is the text of what its application sends.
    fn config(&self, stream: String) -> anyhow::Result<CameraConfig> {
        let pair = |key: &str, value: &Option<String>| value.as_ref().map(|value| format!("{key}={value}"));
        let given = [
            // Whoever looks for cameras on this machine is to find it.
            Some("broadcast=on".to_owned()),
            pair("id", &self.id),
            pair("bootloader", &self.bootloader_version),
            pair("state", &self.state),
            pair("nor", &self.nor),
            pair("emmc", &self.emmc),
            self.run_scripts.then(|| "scripts=any".to_owned()),
        ];
        let faults = self.camera_fault.iter().map(|fault| format!("fault={fault}"));
        let all = given.into_iter().flatten().chain(faults).chain(self.set.iter().cloned()).chain([stream]);
        let text = all.collect::<Vec<_>>().join("&");
        let mut config: CameraConfig = text.parse().map_err(|error| present::Usage(format!("{error}")))?;
        config.nor.file.clone_from(&self.nor_file);
        if let Some(file) = &self.emmc_file {
            config.emmc.get_or_insert_with(MemorySpec::default).file = Some(file.clone());
        }
        config.application.clone_from(&self.app);
        Ok(config)
    }
}

/// What the camera did.
#[derive(Debug, Serialize)]
struct Camera {
    id: String,
    places: Vec<Place>,
    doing: &'static str,
    sessions: u64,
    requests: usize,
    unknown_requests: u64,
    restarts: u64,
    boots: u64,
    watchdog_pings: u64,
    longest_watchdog_silence_ms: u128,
}

/// Is there until it is told to stop.
pub(super) fn run(ctx: &Ctx, args: &SimulateArgs) -> anyhow::Result<Outcome> {
    let BootloaderArgs { address, discovery_port, link_port, .. } = &args.bootloader;
    if args.count != 1 {
        return Err(present::Usage("--bootloader is one camera: start the program again for another one".into()).into());
    }
    if args.until.frames.is_some() {
        return Err(present::Usage("--bootloader knows no --frames: say --duration".into()).into());
    }
    let IpAddr::V4(first) = args.listen.ip() else {
        return Err(
            present::Usage("--bootloader needs an IPv4 address to --listen at: cameras have no other".into()).into()
        );
    };
    let mut config = args.bootloader.config(args.scene.text())?;
    config.stream.images.clone_from(&args.scene.images);
    let place = |ip| Place { ip, discovery: *discovery_port, link: *link_port, stream: args.listen.port() };
    let places: Vec<_> = std::iter::once(first).chain(address.iter().copied()).map(place).collect();
    ctx.stop.on_signals()?;
    let id = config.id.clone();
    let camera = CameraSimulator::start(config, &places).map_err(|error| {
        let taken = matches!(error, StartError::Bind { .. });
        let error = anyhow::Error::from(error);
        if taken {
            present::advised(
                error,
                "another camera may be simulated there: any 127.x.y.z is an address of this machine",
            )
        } else {
            error
        }
    })?;
    for Place { ip, discovery, link, stream } in camera.places() {
        present::say(&format!("camera {id} at {ip}: found at UDP {discovery}, its bootloader at TCP {link}"));
        // For programs too: the address is what they wait for.
        present::say(&format!("listening on tcp://{ip}:{stream} whenever its application runs"));
    }
    ctx.stop.wait_until(args.until.deadline());
    let (account, doing) = (camera.account(), camera.doing());
    let seen = seen(id, camera.places(), &account, doing);
    present::say(&format!(
        "{}: {} sessions, {} requests, {} of them not known, {} restarts, {} boots of an application",
        seen.id,
        seen.sessions,
        account.requests.len() as u64 + account.unknown,
        seen.unknown_requests,
        seen.restarts,
        seen.boots
    ));
    if ctx.json {
        present::document(&present::Document { command: "simulate", cameras: &[seen], recordings: &[] })?;
    }
    Ok(Outcome::Done)
}

fn seen(id: String, places: Vec<Place>, account: &Account, doing: Doing) -> Camera {
    let doing = match doing {
        Doing::Starting => "starting",
        Doing::Bootloader => "bootloader",
        Doing::Application { .. } => "application",
        Doing::InUse => "in-use",
        Doing::Recovery => "usb-recovery",
        _ => "gone",
    };
    Camera {
        id,
        places,
        doing,
        sessions: account.sessions,
        requests: account.requests.len(),
        unknown_requests: account.unknown,
        restarts: account.restarts,
        boots: account.boots,
        watchdog_pings: account.pings,
        longest_watchdog_silence_ms: account.longest_silence.as_millis(),
    }
}
