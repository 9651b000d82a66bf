//! `oaktap flash`: writes an application to cameras, verifies it, and waits until it runs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use oaktap::bootloader::Memory;
use oaktap::device::app::Transport;
use oaktap::device::contract::{Contract, Endpoint};
use oaktap::file;
use oaktap::flash::inspect::{PackageReport, inspect};
use oaktap::flash::{FlashError, FlashOptions, FlashTarget, Flashed, Plan};
use oaktap::frame::Utc;
use oaktap::net::clock::received_now;
use oaktap::net::startup::{ExpectedStream, StartupError};
use oaktap::package::Package;
use oaktap::source::{NamedSource, SourceSpec, UdpSpec};
use serde::Serialize;

use super::view::{self, ViewArgs};
use crate::cli::application::{ApplicationArgs, ConfigFileArgs, PackageTarget, PackingArgs, build_id};
use crate::cli::bootloader_fleet::{BootloaderFleet, Look, Turn};
use crate::cli::camera_arg::runtime;
use crate::cli::camera_ends::{CameraResult, Success};
use crate::cli::camera_label::CameraLabel;
use crate::cli::camera_session::{BootWaitArgs, BootloaderCamera, EnterOptions, RunningApplication, unless_stopped};
use crate::cli::effect::{Asks, Effect, Waits};
use crate::cli::fleet::{NamedCamera, cameras_in};
use crate::cli::present::{self, Refused, advised, flash_error};
use crate::cli::receipt::{FlashFailure, FlashedOrPresent, PackageFacts, Receipt};
use crate::cli::script_check;
use crate::cli::value_parsers::one_of;
use crate::cli::{Ctx, Outcome, json_option, new_files};

const AFTER_HELP: &str = "\
Examples:
  oaktap flash 192.168.1.50 --model yolov8n.blob --letterbox
  oaktap flash 192.168.1.50 --camera-only --payload jpeg --then view
  oaktap flash --config oaktap.toml --yes --jobs 4
  oaktap flash front yard --config oaktap.toml
  oaktap flash 14442C --app app.dap --dry-run

The application is that of --app, of --model or --camera-only with the options above, or of --config. It is packed together \
with the vendor's firmware for cameras, which is in the depthai wheel (`pip download --no-deps depthai==2.30.0.0`).

Asks once, with a list of the cameras. If it fails for one of several cameras, the others are flashed all the same. Repeat \
the command for the rest: a camera whose stream says that it runs exactly this package is left alone. Only packages that \
oaktap has built say so; a camera with another one is reset, so that its memory can be compared. The receipt of a camera \
that failed says where it stopped and what the camera has now.

Exit codes: 0 written, verified and running (with --no-wait: written and verified); 1 failure; 2 wrong usage; 4 refused by \
the camera, or unsafe to try; the help line says what the camera has then.";

/// The program that writes a receipt.
const TOOL: &str = concat!("oaktap ", env!("CARGO_PKG_VERSION"));
const UNCHANGED: &str = "nothing was changed in the camera";

#[derive(Args, Debug)]
#[command(
    after_help = AFTER_HELP,
    arg = json_option("Print a receipt per camera (with --dry-run, its plan) as one line of JSON, then a total of several")
)]
pub(crate) struct FlashArgs {
    /// Addresses (IP, or IP:PORT of the bootloader), ids or starts of ids, or sim: for a simulated camera. NAME=CAMERA names
    /// a camera; with --config, a name of the file selects that camera [default: with --config, all cameras of the file]
    #[arg(value_name = "CAMERA")]
    cameras: Vec<String>,

    /// Write this package, made by depthai or oaktap, instead of building one from the options below
    #[arg(long, value_name = "FILE.dap", conflicts_with_all = ["ApplicationArgs", "PackingArgs"])]
    app: Option<PathBuf>,

    /// Memory to write to: auto (eMMC if the camera has one, else flash), flash or emmc
    #[arg(long, value_name = "MEMORY", default_value = "auto", hide_possible_values = true,
          value_parser = one_of(["auto", "flash", "emmc"], str::parse::<Memory>))]
    memory: Memory,

    /// Show the plan without writing. Querying the camera still stops its application, unless it runs this one already
    #[arg(long)]
    dry_run: bool,

    /// Write the application even if the camera has it already
    #[arg(long)]
    force: bool,

    /// Write a receipt per camera, flashed or failed, as JSON, to this folder
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,

    /// Number of cameras to flash at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,

    /// Run this command once the application runs on all cameras
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["dry_run", "no_wait"])]
    then: Option<Then>,

    #[command(flatten)]
    options: EnterOptions,

    #[command(flatten)]
    boot_wait: BootWaitArgs,

    #[command(flatten)]
    packing: PackingArgs,

    #[command(flatten)]
    file: ConfigFileArgs,

    #[command(flatten)]
    application: ApplicationArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Then {
    View,
}

/// A package and the cameras to write it to.
struct FlashTask {
    cameras: BootloaderFleet,
    package: Package,
    facts: PackageFacts,
    /// The promised properties of its stream. `None` if oaktap has not built the package.
    contract: Option<Contract>,
    /// The port on which its program listens, if the contract does not say it.
    port: Option<u16>,
}

impl FlashArgs {
    fn task(&self) -> anyhow::Result<FlashTask> {
        let mut port = None;
        let configured = cameras_in(self.file.config.as_deref())?;
        let cameras = BootloaderFleet::new(&self.cameras, &configured, self.options.clone())?;
        let (package, build, from) = match &self.app {
            Some(path) => {
                let (package, report) = open(path)?;
                let build = build_id::of_package(&package, &report);
                if report.contract.is_none() && self.boot_wait.needs_port() {
                    port = script_check::port(&report);
                }
                (package, build, path.display().to_string())
            }
            None => {
                let file = self.application.read(&self.file)?;
                let packed = self.packing.pack(
                    &file,
                    if cameras.is_simulated() { PackageTarget::Simulated } else { PackageTarget::Camera },
                    cameras.len(),
                )?;
                (Package::parse(packed.bytes)?, Some(packed.build), format!("{} (built here)", packed.contract.name))
            }
        };
        let facts = PackageFacts::new(&package, from, present::sha256(package.bytes()), build);
        let contract = package.app_name().and_then(|name| name.parse().ok());
        Ok(FlashTask { cameras, package, facts, contract, port })
    }

    /// Returns the report of a camera whose stream says that it runs exactly this package, and prints it. Asks nothing else of
    /// the camera, and does not stop its application.
    fn present(&self, ctx: &Ctx, task: &FlashTask, turn: &Turn<'_>) -> anyhow::Result<Look<FlashReport>> {
        let (false, true, Some(camera)) = (self.force, turn.runs_an_application(), &turn.located.camera) else {
            return Ok(Look::Work { why: None });
        };
        let work = |why: &str| Ok(Look::Work { why: Some(format!("must be reset to compare the memory: {why}")) });
        let Some(build) = task.facts.build.as_deref() else {
            return work("the package has no identifier that its stream could send");
        };
        if self.memory != Memory::Auto {
            return work("its stream does not say from which memory it has booted (--memory)");
        }
        let started = utc_now();
        let expected = ExpectedStream { id: &camera.id, contract: task.contract.as_ref(), build: Some(build) };
        let running = self.boot_wait.at(task.port).application(expected, turn.located.ip);
        let running = match runtime()?.block_on(unless_stopped(&ctx.stop, running, || UNCHANGED.to_owned()))? {
            Ok(running) => running,
            Err(StartupError::UnexpectedApplication { differences }) => return work(&differences.join("; ")),
            Err(error) => return work(&error.to_string()),
        };
        let label = turn.label();
        let (command, text) = (ctx.command, "runs exactly this package already, so it is left alone");
        let report = if self.dry_run {
            FlashReport::Plan { command, label, has_it: true, plan: format!("{text} (--force writes it anyway)") }
        } else {
            present::say(&format!("{label}: {text} (--force writes it anyway)"));
            let receipt = Receipt {
                tool: TOOL.to_owned(),
                started,
                finished: utc_now(),
                label,
                address: Some(turn.located.ip.to_string()),
                target: None,
                package: task.facts.clone(),
                flashed: Some(FlashedOrPresent::Present { written: false }),
                read_back: false,
                running: Some(running),
                failure: None,
            };
            FlashReport::Receipt { command, receipt: Box::new(receipt) }
        };
        print(ctx, self, &report).map(|()| Look::Done(report))
    }
}

impl CameraResult for FlashReport {
    fn success(&self) -> Success {
        match self {
            Self::Plan { has_it: true, .. } => Success::HasItAlready,
            Self::Plan { .. } => Success::Planned,
            Self::Receipt { receipt, .. } if receipt.flashed.as_ref().is_some_and(|flashed| !flashed.written()) => {
                Success::HasItAlready
            }
            Self::Receipt { .. } => Success::Done,
        }
    }
}

/// The result for one camera.
#[derive(Serialize)]
#[serde(untagged)]
enum FlashReport {
    Receipt {
        command: &'static str,
        #[serde(flatten)]
        receipt: Box<Receipt>,
    },
    Plan {
        command: &'static str,
        #[serde(flatten)]
        label: CameraLabel,
        /// The camera has this package already.
        #[serde(skip)]
        has_it: bool,
        plan: String,
    },
}

impl FlashReport {
    /// Returns the source of the camera's stream, if its application was seen to run.
    fn stream(&self, contract: Option<&Contract>) -> Option<NamedSource> {
        let Self::Receipt { receipt, .. } = self else { return None };
        let spec = match contract.and_then(|contract| contract.endpoint) {
            Some(Endpoint { host: Some(host), port, transport: Transport::Udp }) => {
                SourceSpec::Udp(UdpSpec { host: host.to_string(), port })
            }
            Some(Endpoint { host: Some(host), port, .. }) => SourceSpec::Listen { host: host.to_string(), port },
            // The address can differ from that of the bootloader.
            _ => receipt
                .running
                .as_ref()
                .and_then(RunningApplication::address)
                .map(|seen| SourceSpec::Tcp { host: seen.ip().to_string(), port: seen.port() })?,
        };
        Some(NamedSource { name: receipt.label.name.clone(), spec })
    }
}

pub(crate) fn run(ctx: &Ctx, args: &FlashArgs) -> anyhow::Result<Outcome> {
    let task = args.task()?;
    if let (Some(folder), false) = (&args.receipts, args.dry_run) {
        check_writable(folder)?;
    }
    let doing = if args.dry_run { "planning" } else { "flashing" };
    let asks = if args.dry_run { Asks::ToStop } else { Asks::Always };
    let waits = if args.dry_run { Waits::Always } else { Waits::AfterFailure.unless(args.boot_wait.no_wait) };
    let effect = Effect { asks, jobs: args.jobs.into(), waits, ..Effect::changing(doing) };
    let flash = |turn: &Turn<'_>| {
        let mut attempt = Attempt { started: utc_now(), stage: Stage::Entering, address: None, target: None };
        let result = runtime()?.block_on(flash_one(ctx, args, &task, turn, &mut attempt));
        let report = result.map_err(|error| attempt.failed(args, &task, turn.label(), error))?;
        print(ctx, args, &report).map(|()| report)
    };
    let not_found = |camera: &NamedCamera, error| {
        let attempt = Attempt { started: utc_now(), stage: Stage::Searching, address: None, target: None };
        attempt.failed(args, &task, CameraLabel::missing(camera), error)
    };
    let present = |turn: &Turn<'_>| args.present(ctx, &task, turn);
    let reports = task.cameras.each_but(ctx, &effect, present, flash, not_found)?;
    match args.then {
        Some(Then::View) => {
            let streams: Vec<_> = reports.iter().filter_map(|report| report.stream(task.contract.as_ref())).collect();
            let ctx = Ctx { command: "view", json: ctx.json, stop: ctx.stop.clone() };
            view::run(&ctx, &ViewArgs::for_sources(&streams, task.contract))
        }
        None => Ok(Outcome::Done),
    }
}

/// Creates the folder of the receipts, and a file in it that is removed again: a flashed camera without its receipt would
/// have to be flashed again.
fn check_writable(folder: &Path) -> anyhow::Result<()> {
    new_files::check_folder(folder, "receipts")
        .map_err(|error| advised(error, "no camera was changed; give another folder with --receipts"))
}

/// Reads a package and checks it.
fn open(path: &Path) -> anyhow::Result<(Package, PackageReport)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let refused = |why: &str| {
        let error = Refused(format!("{}: {why}", path.display()));
        advised(error.into(), "nothing was sent to the camera; `oaktap inspect FILE.dap` shows every fault")
    };
    let package = Package::parse(bytes).map_err(|error| refused(&error.to_string()))?;
    let report = inspect(package.bytes()).map_err(|error| refused(&error.to_string()))?;
    let damage = report.damage().next().filter(|_| !report.whole);
    match damage.or_else(|| script_check::syntax_error(&report)) {
        Some(fault) => Err(refused(&fault)),
        None => Ok((package, report)),
    }
}

/// How far the flashing of a camera is.
enum Stage {
    Searching,
    Entering,
    Connecting,
    /// The last error is a [`FlashError`].
    Bootloader(FlashError),
    /// In this memory, every byte was found.
    Starting(Flashed),
}

/// The flashing of a camera, for the receipt of a failure.
struct Attempt {
    started: String,
    stage: Stage,
    address: Option<String>,
    target: Option<FlashTarget>,
}

impl Attempt {
    /// Writes the receipt of the failure, and returns the error with its fields.
    fn failed(self, args: &FlashArgs, task: &FlashTask, label: CameraLabel, error: anyhow::Error) -> anyhow::Error {
        let Self { started, stage, address, target } = self;
        let (failed_while, camera_has, flashed) = match stage {
            Stage::Searching => {
                ("searching for the camera".to_owned(), "nothing was sent to the camera".to_owned(), None)
            }
            Stage::Entering => ("entering the bootloader".to_owned(), UNCHANGED.to_owned(), None),
            Stage::Connecting => ("connecting to the bootloader".to_owned(), UNCHANGED.to_owned(), None),
            Stage::Bootloader(error) => (error.phase().to_string(), error.camera_has().to_owned(), None),
            Stage::Starting(flashed) => {
                let has = format!("the application in the {} memory, read back and verified", flashed.memory);
                ("waiting for the application".to_owned(), has, Some(FlashedOrPresent::Flashed(flashed)))
            }
        };
        let failure = FlashFailure { error: present::printable(&format!("{error:#}")), failed_while, camera_has };
        let (package, finished) = (task.facts.clone(), utc_now());
        let read_back = flashed.is_some();
        let (running, failure) = (None, Some(failure));
        let receipt = Receipt {
            tool: TOOL.into(),
            started,
            finished,
            label,
            address,
            target,
            package,
            flashed,
            read_back,
            running,
            failure,
        };
        if let Some(folder) = args.receipts.as_ref().filter(|_| !args.dry_run)
            && let Err(unwritten) = save(&receipt, folder)
        {
            present::always_say(&format!("warning: {}: no receipt of the failure: {unwritten:#}", receipt.label));
        }
        match serde_json::to_value(&receipt) {
            Ok(serde_json::Value::Object(fields)) => present::detailed(error, fields),
            _ => error,
        }
    }
}

/// A plan for one camera, and what it did there.
struct Planned {
    target: FlashTarget,
    /// The camera has the package already.
    has_it: bool,
    plan: String,
    /// `None` in a dry run.
    flashed: Option<Flashed>,
}

async fn flash_one(
    ctx: &Ctx,
    args: &FlashArgs,
    task: &FlashTask,
    turn: &Turn<'_>,
    attempt: &mut Attempt,
) -> anyhow::Result<FlashReport> {
    let command = ctx.command;
    let FlashTask { package, facts, contract, port, .. } = task;
    let entered = turn.enter(ctx).await?;
    attempt.address = Some(entered.address().to_string());
    attempt.stage = Stage::Connecting;
    let (options, package, dry_run) =
        (FlashOptions { memory: args.memory, force: args.force }, package.clone(), args.dry_run);
    let work = async move |caller: oaktap::bootloader::Caller| -> Result<Planned, FlashError> {
        let plan = Plan::make(&caller, package, options).await?;
        let (target, has_it, text) = (plan.target().clone(), !plan.writes(), plan.to_string());
        let flashed = if dry_run { None } else { Some(plan.carry_out(&caller).await?) };
        Ok(Planned { target, has_it, plan: text, flashed })
    };
    let Planned { target, has_it, plan, flashed } = entered.talk(work).await?.map_err(|error| {
        attempt.stage = Stage::Bootloader(error.clone());
        flash_error(error)
    })?;
    attempt.target = Some(target.clone());
    let Some(flashed) = flashed else {
        return Ok(FlashReport::Plan { command, label: entered.label, has_it, plan });
    };
    attempt.stage = Stage::Starting(flashed.clone());
    let running =
        wait_until_running(&entered, args.boot_wait.at(*port), &flashed, (contract.as_ref(), facts.build.as_deref()))
            .await?;
    let receipt = Receipt {
        tool: TOOL.to_owned(),
        started: attempt.started.clone(),
        finished: utc_now(),
        label: entered.label.clone(),
        address: attempt.address.clone(),
        target: Some(target),
        package: facts.clone(),
        flashed: Some(FlashedOrPresent::Flashed(flashed)),
        read_back: true,
        running,
        failure: None,
    };
    Ok(FlashReport::Receipt { command, receipt: Box::new(receipt) })
}

fn utc_now() -> String {
    Utc::from_unix_ns(received_now().unix_ns).to_string()
}

async fn wait_until_running(
    entered: &BootloaderCamera,
    boot_wait: BootWaitArgs,
    flashed: &Flashed,
    (contract, build): (Option<&Contract>, Option<&str>),
) -> anyhow::Result<Option<RunningApplication>> {
    let label = &entered.label;
    if flashed.written {
        present::say(&format!("{label}: written to the {} memory, read back and verified", flashed.memory));
    } else {
        present::say(&format!(
            "{label}: the camera has this application already; nothing was written (--force writes it anyway)"
        ));
    }
    entered
        .wait_until_running(boot_wait, contract, build)
        .await
        .context("the application was written and verified, but its start was not observed")
}

/// Writes a receipt to its file, which is named after the id of the camera, or after the address of one that was not found.
fn save(receipt: &Receipt, folder: &Path) -> anyhow::Result<()> {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let stem: String = receipt.label.id_or_given().chars().map(safe).collect();
    let path = folder.join(format!("{stem}_{}.json", receipt.finished.replace(':', "-")));
    let text = serde_json::to_string_pretty(receipt)? + "\n";
    file::write_new(&path, text.as_bytes()).map_err(|error| new_files::not_written(&path, error))?;
    present::say(&format!("{}: receipt in {}", receipt.label, path.display()));
    Ok(())
}

fn print(ctx: &Ctx, args: &FlashArgs, report: &FlashReport) -> anyhow::Result<()> {
    if let (FlashReport::Receipt { receipt, .. }, Some(folder)) = (report, &args.receipts) {
        save(receipt, folder)?;
    }
    match report {
        _ if ctx.json => present::document(report),
        FlashReport::Plan { label, plan, .. } => present::result(format!("{label}\n{plan}\n").as_bytes()),
        FlashReport::Receipt { receipt, .. } => {
            let Receipt { label, flashed, running, package, .. } = &**receipt;
            let what = match flashed {
                Some(FlashedOrPresent::Present { .. }) => "already present, left alone",
                Some(flashed) if flashed.written() => "written, read back and verified",
                _ => "verified, already present",
            };
            let runs = if running.is_some() { ", running" } else { ", start not observed" };
            let text = format!("{label}: {} {what}{runs}\n", package.file);
            present::result(present::printable(&text).as_bytes())
        }
    }
}
