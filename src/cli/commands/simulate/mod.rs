//! `oaktap simulate`: simulates cameras on real sockets.

mod app;
mod bootloader;
mod connect;
mod mqtt;
mod udp;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use oaktap::frame::PixelFormat;
use oaktap::sim::{Reel, Sent, SimConfig, Simulator};
use oaktap::source::MqttSpec;
use oaktap::units::{Bytes, count};
use oaktap::wire::Dialect;
use serde::Serialize;

use crate::cli::receiving::StreamSummary;
use crate::cli::{Ctx, Outcome, Until, json_option, present, value_parsers};

/// The interval at which to check whether to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

const STREAM: &str = "Stream";

const EXAMPLES: &str = "\
Examples:
  oaktap simulate
  oaktap simulate --listen 0.0.0.0:5000 --count 4 --records
  oaktap simulate --fault short:0.01 -d 1min
  oaktap simulate --http --listen 127.0.0.1:8080
  oaktap simulate --udp 127.0.0.1:5000 --fault loss:0.001
  oaktap simulate --connect 127.0.0.1:5000
  oaktap simulate --mqtt mqtt://127.0.0.1/cameras/front
  oaktap simulate --bootloader

Wherever a command takes a camera, sim: is a simulated one inside that command. sim:?KEY=VALUE&KEY=VALUE takes the options \
under \"Stream\", with the same defaults: sim:?size=1280x720&fps=30&fault=short:0.01,junk:0.1. Only records differ: they are \
on unless records=off. Quote the text, because shells interpret & and ?.";

/// Returns the names of the payload formats.
fn formats() -> impl Iterator<Item = &'static str> {
    PixelFormat::ALL.map(PixelFormat::name).into_iter().chain(["H264", "H265"])
}

/// Takes a value that the simulator parses, with better messages.
fn text(value: &str) -> Result<String, String> {
    Ok(value.to_owned())
}

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print what each camera has sent as one line of JSON at the end"))]
pub(crate) struct SimulateArgs {
    /// Address to listen on; port 0 selects a free port
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5000", value_parser = value_parsers::host_and_port)]
    listen: SocketAddr,

    /// Number of cameras, on consecutive ports
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,

    /// Serve HTTP like Luxonis' servers: motion JPEG at /, and a still picture at /img
    #[arg(long)]
    http: bool,

    /// Send datagrams to this address, which `oaktap view udp://:PORT` receives; with --count, to consecutive ports
    #[arg(long, value_name = "ADDR:PORT", value_parser = value_parsers::host_and_port,
          conflicts_with_all = ["http", "mqtt", "listen", "bootloader", "app"])]
    udp: Option<SocketAddr>,

    /// Connect to this address, where `oaktap view listen://:PORT` waits, again and again; with --count, to consecutive ports
    #[arg(long, value_name = "ADDR:PORT", value_parser = value_parsers::host_and_port,
          conflicts_with_all = ["http", "mqtt", "udp", "listen", "bootloader", "app"])]
    connect: Option<SocketAddr>,

    /// Publish to a broker, such as mqtt://127.0.0.1/TOPIC: JPEG on TOPIC, boxes as JSON on TOPIC/detections, their average
    /// number on TOPIC/average
    #[arg(long, value_name = "URL", value_parser = mqtt::target, conflicts_with_all = ["http", "listen"])]
    mqtt: Option<MqttSpec>,

    #[command(flatten)]
    scene: SceneArgs,

    #[command(flatten)]
    bootloader: bootloader::BootloaderArgs,

    #[command(flatten)]
    until: Until,
}

/// Printed if receivers cannot decode the simulated pictures.
const UNDECODABLE: &str =
    "the pictures have valid headers, but cannot be decoded: there is no encoder for this format and size";

/// The simulated stream. By default, it is the one on Luxonis' page on standalone mode.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SceneArgs {
    /// Size of the pictures [default: 640x352]
    #[arg(long, value_name = "WxH", value_parser = value_parsers::size, help_heading = STREAM)]
    size: Option<(u32, u32)>,

    /// Frames per second; 0 sends as fast as the client reads [default: 40]
    #[arg(long, value_name = "N", help_heading = STREAM)]
    fps: Option<f64>,

    /// Payload format; H265 can be decoded only with a file of --images [default: JPEG with ABCDE, ABCDE-256 and FRAME,
    /// otherwise BGR888p]
    #[arg(long, value_name = "FORMAT", help_heading = STREAM,
          value_parser = value_parsers::one_of(formats(), text))]
    format: Option<String>,

    /// Header dialect: IMG, ABCDE, ABCDE-256 or FRAME [default: ABCDE for JPEG, H264 and H265, otherwise IMG]
    #[arg(long, value_name = "NAME", help_heading = STREAM, hide_possible_values = true,
          value_parser = value_parsers::one_of(Dialect::ALL.map(Dialect::name), text))]
    dialect: Option<String>,

    /// Number of objects in the picture, each with a box [default: 3]
    #[arg(long, value_name = "N", help_heading = STREAM)]
    boxes: Option<u32>,

    /// Also send the position of each object in millimeters, as spatial networks do; with IMG, FRAME and --mqtt
    #[arg(long, help_heading = STREAM)]
    spatial: bool,

    /// Also send a depth picture with each picture, as a stream of its own on the same connection; with IMG
    #[arg(long, help_heading = STREAM)]
    depth: bool,

    /// Also send the extension records: size, labels, sequence numbers; and acknowledge the settings of `oaktap control`
    #[arg(long, help_heading = STREAM)]
    records: bool,

    /// Send the PNG and JPEG files of this folder; or with --format H264 or H265 also the video of a file (Annex B), in its own
    /// size
    #[arg(long, value_name = "DIR|FILE", help_heading = STREAM)]
    images: Option<PathBuf>,

    /// Damage this fraction of the frames, such as short:0.01; repeatable. Kinds: short, header, cut, reset, junk, foreign,
    /// stall, reboot, overflow, size, all. With --udp also of the datagrams: loss, reorder, duplicate
    #[arg(long, value_name = "KIND:RATE", help_heading = STREAM)]
    fault: Vec<String>,

    /// Write at most this many bytes at a time
    #[arg(long, value_name = "BYTES", value_parser = value_parsers::whole, help_heading = STREAM)]
    fragment: Option<u64>,

    /// Random seed; the same seed gives the same pictures and faults [default: 1]
    #[arg(long, value_name = "N", value_parser = value_parsers::whole, help_heading = STREAM)]
    seed: Option<u64>,

    /// Set TCP_NODELAY, unlike the official programs
    #[arg(long, help_heading = STREAM)]
    nodelay: bool,
}

impl SceneArgs {
    /// Parses the options into a configuration.
    pub(crate) fn config(&self) -> anyhow::Result<SimConfig> {
        let mut config: SimConfig = self.text().parse().map_err(|error| present::Usage(format!("{error}")))?;
        config.images.clone_from(&self.images);
        Ok(config)
    }

    /// Returns the first option that has no effect on a program that sends the stream itself. `pictures`: the program also
    /// selects the pictures.
    fn ineffective(&self, pictures: bool) -> Option<&'static str> {
        let given = [
            (self.dialect.is_some(), "--dialect"),
            (self.spatial, "--spatial"),
            (self.depth, "--depth"),
            (self.records, "--records"),
            (!self.fault.is_empty(), "--fault"),
            (self.nodelay, "--nodelay"),
            (pictures && self.size.is_some(), "--size"),
            (pictures && self.fps.is_some(), "--fps"),
            (pictures && self.format.is_some(), "--format"),
        ];
        given.into_iter().find_map(|(given, option)| given.then_some(option))
    }

    /// Formats the options as `key=value&…`, without the folder of pictures, whose name may contain `&`.
    fn text(&self) -> String {
        let given = [
            self.size.map(|(width, height)| format!("size={width}x{height}")),
            self.fps.map(|fps| format!("fps={fps}")),
            self.format.as_ref().map(|format| format!("format={format}")),
            self.dialect.as_ref().map(|dialect| format!("dialect={dialect}")),
            self.boxes.map(|boxes| format!("boxes={boxes}")),
            self.spatial.then(|| "spatial=on".to_owned()),
            self.depth.then(|| "depth=on".to_owned()),
            self.records.then(|| "records=on".to_owned()),
            self.fragment.map(|bytes| format!("fragment={bytes}")),
            self.seed.map(|seed| format!("seed={seed}")),
            self.nodelay.then(|| "nodelay=on".to_owned()),
        ];
        let faults = self.fault.iter().map(|fault| format!("fault={fault}"));
        given.into_iter().flatten().chain(faults).collect::<Vec<_>>().join("&")
    }
}

#[derive(Debug, Serialize)]
struct SimulatedStream {
    address: SocketAddr,
    #[serde(flatten)]
    sent: Sent,
}

pub(crate) fn run(ctx: &Ctx, args: &SimulateArgs) -> anyhow::Result<Outcome> {
    if args.bootloader.bootloader {
        return bootloader::run(ctx, args);
    }
    if let Some(path) = &args.bootloader.app {
        return app::run(ctx, args, path);
    }
    if let Some(host) = args.udp {
        return udp::run(ctx, args, host);
    }
    if let Some(host) = args.connect {
        return connect::run(ctx, args, host);
    }
    if let Some(spec) = &args.mqtt {
        return mqtt::run(ctx, args, spec);
    }
    let reel = Arc::new(Reel::new(&args.config()?)?);
    ctx.stop.on_signals()?;
    let simulators = (0..args.count).map(|number| start(args, number, &reel)).collect::<anyhow::Result<Vec<_>>>()?;
    for simulator in &simulators {
        // Other programs wait for this line to learn the address.
        present::say(&format!("listening on {}", args.url(simulator.local_addr())));
    }
    if !reel.is_decodable() {
        present::say(UNDECODABLE);
    }
    let sent = || simulators.iter().map(|simulator| simulator.sent()).map(|sent| sent.intact + sent.damaged).sum();
    wait(ctx, &args.until, sent);
    let cameras: Vec<_> = simulators
        .into_iter()
        .map(|simulator| SimulatedStream { address: simulator.local_addr(), sent: simulator.stop() })
        .collect();
    for SimulatedStream { address, sent: Sent { connections, intact, damaged, abandoned, bytes, .. } } in &cameras {
        let url = args.url(*address);
        present::say(&format!(
            "{url}: {}, {}, {damaged} damaged on purpose, {abandoned} abandoned by clients, {}",
            count(*connections, "connection", "connections"),
            count(*intact, "frame", "frames"),
            Bytes(*bytes)
        ));
    }
    if ctx.json {
        present::document(&StreamSummary { command: ctx.command, cameras: &cameras, recordings: &[] })?;
    }
    Ok(Outcome::Done)
}

impl SimulateArgs {
    /// Parses the options of the stream into a configuration.
    fn config(&self) -> anyhow::Result<SimConfig> {
        if self.http { self.jpeg_config("--http") } else { self.scene.config() }
    }

    /// Parses the options of a stream of JPEG pictures without headers. `option`: the one that asks for it.
    fn jpeg_config(&self, option: &str) -> anyhow::Result<SimConfig> {
        let of_the_header = self.scene.dialect.is_some().then_some("--dialect");
        // Boxes are JSON there, as in the dialect FRAME.
        let has_boxes = option == "--mqtt";
        let of_the_stream = SceneArgs { spatial: self.scene.spatial && !has_boxes, ..self.scene.clone() };
        let ineffective = of_the_header.or_else(|| of_the_stream.ineffective(false)).or_else(|| {
            let is_jpeg = self.scene.format.as_ref().is_none_or(|format| format.eq_ignore_ascii_case("JPEG"));
            (!is_jpeg).then_some("--format").or_else(|| self.scene.fragment.is_some().then_some("--fragment"))
        });
        if let Some(ineffective) = ineffective {
            return Err(present::Usage(format!("`{ineffective}` has no effect on {option}, which sends JPEG")).into());
        }
        let dialect = has_boxes.then(|| Dialect::Frame.name().to_owned());
        let scene = SceneArgs { format: Some("JPEG".to_owned()), dialect, ..self.scene.clone() };
        scene.config()
    }

    /// Returns the source that receives the camera at this address.
    fn url(&self, address: SocketAddr) -> String {
        if self.http { format!("http://{address}/") } else { format!("tcp://{address}") }
    }
}

fn start(args: &SimulateArgs, number: u16, reel: &Arc<Reel>) -> anyhow::Result<Simulator> {
    let (listener, reel) = (listener(args.listen, number, "--listen")?, Arc::clone(reel));
    Ok(if args.http { Simulator::play_http(listener, reel)? } else { Simulator::play(listener, reel)? })
}

/// Listens on the port of `listen` plus `number`, or on a free port if it is 0. `option` is the option that gave the address.
pub(in crate::cli) fn listener(listen: SocketAddr, number: u16, option: &str) -> anyhow::Result<TcpListener> {
    let mut address = listen;
    if listen.port() != 0 {
        let port = listen.port().checked_add(number);
        address.set_port(
            port.ok_or_else(|| present::Usage("not enough ports after this one: the last port is 65535".to_owned()))?,
        );
    }
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}")).map_err(|error| {
        present::advised(error, format!("another program may use this port; {option} 127.0.0.1:0 selects a free one"))
    })
}

/// Returns the address for a camera of several, which have consecutive ports. `option`: the one that gave the address.
fn numbered(option: &str, host: SocketAddr, number: u16, count: u16) -> anyhow::Result<SocketAddr> {
    let port =
        host.port().checked_add(number).filter(|port| *port != 0).ok_or_else(|| {
            present::Usage(format!("{option} {host} --count {count}: expected ports from 1 to 65535"))
        })?;
    Ok(SocketAddr::new(host.ip(), port))
}

/// Waits for the end of the run. `sent`: returns the frames sent so far.
fn wait(ctx: &Ctx, until: &Until, sent: impl Fn() -> u64) {
    let deadline = until.deadline();
    let Some(frames) = until.frames else {
        ctx.stop.wait_until(deadline);
        return;
    };
    loop {
        let now = Instant::now();
        let next = now + POLL_INTERVAL;
        let over = deadline.is_some_and(|deadline| deadline <= now) || sent() >= frames;
        if over || ctx.stop.wait_until(Some(deadline.map_or(next, |deadline| deadline.min(next)))) {
            return;
        }
    }
}
