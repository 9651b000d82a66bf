//! `oaktap simulate`: cameras that do not exist, on real sockets.

mod app;
mod bootloader;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use oaktap::sim::{Reel, Sent, SimConfig, Simulator};
use serde::Serialize;

use crate::cli::{Ctx, Outcome, Until, present, value_parsers};

/// How often the frames that were sent are counted.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Args, Debug)]
pub(crate) struct SimulateArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,

    /// Number of cameras, on consecutive ports (or on as many free ones)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,

    #[command(flatten)]
    scene: SceneArgs,

    #[command(flatten)]
    bootloader: bootloader::BootloaderArgs,

    #[command(flatten)]
    until: Until,
}

/// What the camera shows and says. What is not given is as on Luxonis' standalone page.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "The camera")]
pub(crate) struct SceneArgs {
    /// Size of the pictures [default: 640x352]
    #[arg(long, value_name = "WxH", value_parser = value_parsers::size)]
    size: Option<(u32, u32)>,

    /// Frames a second; 0 is as fast as the client takes them [default: 40]
    #[arg(long, value_name = "N")]
    fps: Option<f64>,

    /// Payload: BGR888p, NV12, GRAY8, RAW16, JPEG, H264 and so on [default: BGR888p]
    #[arg(long, value_name = "TYPE")]
    format: Option<String>,

    /// Kind of header: IMG, ABCDE, ABCDE-256 or FRAME [default: IMG]
    #[arg(long, value_name = "NAME")]
    dialect: Option<String>,

    /// Objects in the picture, each with its box [default: 3]
    #[arg(long, value_name = "N")]
    boxes: Option<u32>,

    /// Send the extension records too: size, labels, sequence numbers
    #[arg(long)]
    records: bool,

    /// Show the PNG and JPEG files of this folder
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,

    /// What goes wrong, and in which share of the frames: short, header, cut, reset, junk, foreign, stall, reboot,
    /// overflow, size, or all; such as short:0.01. Can be given several times
    #[arg(long, value_name = "KIND:RATE")]
    fault: Vec<String>,

    /// Write at most so many bytes at a time
    #[arg(long, value_name = "BYTES")]
    fragment: Option<usize>,

    /// Decides what is seen and when faults strike; the same number gives the same stream [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Set TCP_NODELAY, which the official programs do not
    #[arg(long)]
    nodelay: bool,
}

impl SceneArgs {
    /// The camera that is meant.
    pub(crate) fn config(&self) -> anyhow::Result<SimConfig> {
        let mut config: SimConfig = self.text().parse().map_err(|error| present::Usage(format!("{error}")))?;
        config.images.clone_from(&self.images);
        Ok(config)
    }

    /// What was given although a program that runs sends the stream in its own way; `pictures` says whether it knows
    /// which ones it wants.
    fn in_vain(&self, pictures: bool) -> Option<&'static str> {
        let given = [
            (self.dialect.is_some(), "--dialect"),
            (self.records, "--records"),
            (!self.fault.is_empty(), "--fault"),
            (self.nodelay, "--nodelay"),
            (pictures && self.size.is_some(), "--size"),
            (pictures && self.fps.is_some(), "--fps"),
            (pictures && self.format.is_some(), "--format"),
        ];
        given.into_iter().find_map(|(given, option)| given.then_some(option))
    }

    /// What was given, in the text form. A folder may have any name, so that is not in it.
    fn text(&self) -> String {
        let given = [
            self.size.map(|(width, height)| format!("size={width}x{height}")),
            self.fps.map(|fps| format!("fps={fps}")),
            self.format.as_ref().map(|format| format!("format={format}")),
            self.dialect.as_ref().map(|dialect| format!("dialect={dialect}")),
            self.boxes.map(|boxes| format!("boxes={boxes}")),
            self.records.then(|| "records=on".to_owned()),
            self.fragment.map(|bytes| format!("fragment={bytes}")),
            self.seed.map(|seed| format!("seed={seed}")),
            self.nodelay.then(|| "nodelay=on".to_owned()),
        ];
        let faults = self.fault.iter().map(|fault| format!("fault={fault}"));
        given.into_iter().flatten().chain(faults).collect::<Vec<_>>().join("&")
    }
}

/// What one camera did.
#[derive(Debug, Serialize)]
struct Camera {
    address: SocketAddr,
    #[serde(flatten)]
    sent: Sent,
}

/// Listens until it is told to stop.
pub(crate) fn run(ctx: &Ctx, args: &SimulateArgs) -> anyhow::Result<Outcome> {
    if args.bootloader.bootloader {
        return bootloader::run(ctx, args);
    }
    if let Some(path) = &args.bootloader.app {
        return app::run(ctx, args, path);
    }
    let reel = Arc::new(Reel::new(&args.scene.config()?)?);
    ctx.stop.on_signals()?;
    let simulators =
        (0..args.count).map(|number| start(args.listen, number, &reel)).collect::<anyhow::Result<Vec<_>>>()?;
    for simulator in &simulators {
        // For programs too: the address is what they wait for.
        present::say(&format!("listening on tcp://{}", simulator.local_addr()));
    }
    wait(ctx, &args.until, &simulators);
    let cameras: Vec<_> = simulators
        .into_iter()
        .map(|simulator| Camera { address: simulator.local_addr(), sent: simulator.stop() })
        .collect();
    for Camera { address, sent: Sent { connections, intact, damaged, abandoned, bytes } } in &cameras {
        present::say(&format!(
            "tcp://{address}: {connections} connections, {intact} frames, {damaged} damaged on purpose, \
             {abandoned} abandoned by clients, {:.1} MB",
            *bytes as f64 / 1e6
        ));
    }
    if ctx.json {
        present::document(&present::Document { command: "simulate", cameras: &cameras, recordings: &[] })?;
    }
    Ok(Outcome::Done)
}

fn start(listen: SocketAddr, number: u16, reel: &Arc<Reel>) -> anyhow::Result<Simulator> {
    Ok(Simulator::play(listener(listen, number, "--listen")?, Arc::clone(reel))?)
}

/// A listener at this port, or so many ports behind it. `option` is what the user gave the address with.
pub(super) fn listener(listen: SocketAddr, number: u16, option: &str) -> anyhow::Result<TcpListener> {
    let mut address = listen;
    if listen.port() != 0 {
        let port = listen.port().checked_add(number);
        address.set_port(port.ok_or_else(|| present::Usage("so many ports behind this one do not exist".to_owned()))?);
    }
    TcpListener::bind(address).with_context(|| format!("{address} cannot be listened at")).map_err(|error| {
        let help = match option {
            "--serve" => "another program may use this port: --serve 127.0.0.1:0 takes a free one",
            _ => "another program may use this port: --listen 127.0.0.1:0 takes a free one",
        };
        present::advised(error, help)
    })
}

fn wait(ctx: &Ctx, until: &Until, simulators: &[Simulator]) {
    let deadline = until.deadline();
    let Some(frames) = until.frames else {
        ctx.stop.wait_until(deadline);
        return;
    };
    let sent =
        || simulators.iter().map(|simulator| simulator.sent()).map(|sent| sent.intact + sent.damaged).sum::<u64>();
    loop {
        let now = Instant::now();
        let next = now + LOOK;
        let over = deadline.is_some_and(|deadline| deadline <= now) || sent() >= frames;
        if over || ctx.stop.wait_until(Some(deadline.map_or(next, |deadline| deadline.min(next)))) {
            return;
        }
    }
}
