//! `oaktap simulate --bootloader`: simulates a whole camera, which can be found, queried and flashed, and which streams
//! while it runs an application.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;
use oaktap::sim::bootloader::{Activity, CameraConfig, CameraHistory, CameraSimulator, MemorySpec, Place, StartError};
use serde::Serialize;

use super::SimulateArgs;
use crate::cli::receiving::StreamSummary;
use crate::cli::{Ctx, Outcome, present};

const BOOTLOADER: &str = "Bootloader";

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BootloaderArgs {
    /// Simulate a whole camera, which can be found, queried and flashed, and which streams while it runs an application
    #[arg(long, help_heading = BOOTLOADER)]
    pub(super) bootloader: bool,

    /// Additional address of the camera, besides that of --listen; repeatable
    #[arg(long, value_name = "IP", requires = "bootloader", help_heading = BOOTLOADER)]
    address: Vec<Ipv4Addr>,

    /// UDP port of the discovery service; 0 selects a free port. Commands reach another port than the default with --udp-port
    #[arg(long, alias = "discovery-port", value_name = "PORT", requires = "bootloader",
          default_value_t = oaktap::discovery::PORT, help_heading = BOOTLOADER)]
    udp_port: u16,

    /// TCP port of the bootloader, as behind a router that forwards it; 0 selects a free port. Commands reach another port
    /// than the default as IP:PORT, such as `oaktap info 127.0.0.1:PORT`
    #[arg(long, value_name = "PORT", requires = "bootloader", default_value_t = oaktap::xlink::PORT,
          help_heading = BOOTLOADER)]
    link_port: u16,

    /// Id of the camera [default: 14442C10D13EABCE00]
    #[arg(long, value_name = "ID", help_heading = BOOTLOADER)]
    pub(super) id: Option<String>,

    /// Version of the bootloader [default: 0.0.28]
    #[arg(long, value_name = "VERSION", requires = "bootloader", help_heading = BOOTLOADER)]
    bootloader_version: Option<String>,

    /// State at the start: bootloader, application or in-use [default: bootloader]
    #[arg(long, value_name = "STATE", requires = "bootloader", help_heading = BOOTLOADER, hide_possible_values = true,
          value_parser = ["bootloader", "application", "in-use"])]
    state: Option<String>,

    /// Size of the flash, such as 16MiB [default: the size of the file, or 128MiB]
    #[arg(long, value_name = "BYTES", requires = "bootloader", help_heading = BOOTLOADER)]
    nor: Option<String>,

    /// Keep the flash in this file; creates a missing file
    #[arg(long, value_name = "FILE", requires = "bootloader", help_heading = BOOTLOADER)]
    nor_file: Option<PathBuf>,

    /// Add an eMMC of this size, such as 1GiB
    #[arg(long, value_name = "BYTES", requires = "bootloader", help_heading = BOOTLOADER)]
    emmc: Option<String>,

    /// Add an eMMC and keep it in this file
    #[arg(long, value_name = "FILE", requires = "bootloader", help_heading = BOOTLOADER)]
    emmc_file: Option<PathBuf>,

    /// Run the program of this application package; with --bootloader, start with the package in the flash
    #[arg(long, value_name = "FILE.dap", help_heading = BOOTLOADER)]
    pub(super) app: Option<PathBuf>,

    /// Run any Script that is flashed, not only the one of this oaktap. Everyone who can reach the camera can then run
    /// programs on this host
    #[arg(long, requires = "bootloader", help_heading = BOOTLOADER)]
    run_scripts: bool,

    /// Fail like this, at most TIMES; repeatable. Faults: refuse, refuse-late:0.5, drop:BYTE, drop-progress:0.5*1,
    /// drop-output:BYTE, stall-progress:0.5, freeze:BYTE, bad-response, short-response, no-credit, not-written,
    /// corrupt:BYTE, config-refused, config-not-written, no-boot, silent, taken, vanish, deaf, mute
    #[arg(long, value_name = "FAULT[*TIMES]", requires = "bootloader", help_heading = BOOTLOADER)]
    camera_fault: Vec<String>,

    /// Set another property; repeatable. Properties: type=usb, claims=0.0.20, image=0.0.29, commit=TEXT,
    /// open=first|after|never, stale=on, packet=1MiB, write-rate=2MiB, wait=30s, wait-again=300ms, restart=50ms,
    /// watchdog=30s, answer=extended|both, broadcast=off, ethernet=100half, bandwidth=10Mbit, delay=100ms
    #[arg(long, value_name = "KEY=VALUE", requires = "bootloader", help_heading = BOOTLOADER)]
    set: Vec<String>,
}

impl BootloaderArgs {
    /// Parses the options into a configuration. `stream` configures the stream of its application.
    fn config(&self, stream: String) -> anyhow::Result<CameraConfig> {
        let pair = |key: &str, value: &Option<String>| value.as_ref().map(|value| format!("{key}={value}"));
        let given = [
            // So that searches on this host find the camera.
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

#[derive(Debug, Serialize)]
struct SimulatedCamera {
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

pub(super) fn run(ctx: &Ctx, args: &SimulateArgs) -> anyhow::Result<Outcome> {
    let BootloaderArgs { address, udp_port, link_port, .. } = &args.bootloader;
    if args.count != 1 {
        return Err(present::Usage("--bootloader simulates one camera, so it cannot be used with --count; run `oaktap simulate` once per camera".into()).into());
    }
    if args.until.frames.is_some() {
        return Err(present::Usage("--bootloader cannot be used with --frames; use --duration".into()).into());
    }
    let IpAddr::V4(first) = args.listen.ip() else {
        return Err(present::Usage(
            "--bootloader requires an IPv4 address in --listen, because cameras have no other".into(),
        )
        .into());
    };
    let mut config = args.bootloader.config(args.scene.text())?;
    config.stream.images.clone_from(&args.scene.images);
    let place = |ip| Place { ip, discovery: *udp_port, link: *link_port, stream: args.listen.port() };
    let places: Vec<_> = std::iter::once(first).chain(address.iter().copied()).map(place).collect();
    ctx.stop.on_signals()?;
    let id = config.id.clone();
    let is_decodable = config.stream.is_decodable();
    let camera = CameraSimulator::start(config, &places).map_err(|error| {
        let taken = matches!(error, StartError::Bind { .. });
        let error = anyhow::Error::from(error);
        if taken {
            present::advised(
                error,
                "another simulated camera may use this address; any 127.x.y.z is an address of this host",
            )
        } else {
            error
        }
    })?;
    for Place { ip, discovery, link, stream } in camera.places() {
        present::say(&format!("camera {id} at {ip}: discovery on UDP port {discovery}, bootloader on TCP port {link}"));
        // Other programs wait for this line to learn the address.
        present::say(&format!("listening on tcp://{ip}:{stream} while its application runs"));
    }
    if !is_decodable {
        present::say(super::UNDECODABLE);
    }
    ctx.stop.wait_until(args.until.deadline());
    let (history, activity) = (camera.history(), camera.activity());
    let summary = summarize(id, camera.places(), &history, activity);
    present::say(&format!(
        "{}: {} sessions, {} requests, {} of them unknown, {} restarts, {} boots of an application",
        summary.id,
        summary.sessions,
        history.requests.len() as u64 + history.unknown,
        summary.unknown_requests,
        summary.restarts,
        summary.boots
    ));
    if ctx.json {
        present::document(&StreamSummary { command: ctx.command, cameras: &[summary], recordings: &[] })?;
    }
    Ok(Outcome::Done)
}

fn summarize(id: String, places: Vec<Place>, history: &CameraHistory, activity: Activity) -> SimulatedCamera {
    let doing = match activity {
        Activity::Starting => "starting",
        Activity::Bootloader => "bootloader",
        Activity::Application { .. } => "application",
        Activity::InUse => "in-use",
        Activity::Recovery => "usb-recovery",
        Activity::Gone => "gone",
    };
    SimulatedCamera {
        id,
        places,
        doing,
        sessions: history.sessions,
        requests: history.requests.len(),
        unknown_requests: history.unknown,
        restarts: history.restarts,
        boots: history.boots,
        watchdog_pings: history.pings,
        longest_watchdog_silence_ms: history.longest_silence.as_millis(),
    }
}
