//! `oaktap flash`: an application into cameras, and the proof that it runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use oaktap::bootloader::Memory;
use oaktap::device::contract::{Contract, Endpoint};
use oaktap::flash::{FlashError, FlashOptions, FlashTarget, Flashed, Plan};
use oaktap::package::Package;
use oaktap::source::SourceSpec;
use serde::Serialize;

use super::application::ApplicationArgs;
use super::camera::{CAMERA, CameraArg, runtime};
use super::enter::{Entered, How, Running, Waiting};
use super::packing::{For, PackingArgs};
use super::present::{self, Refused, Usage, advised};
use super::receipt::{PackageFacts, Receipt};
use super::view::ViewArgs;
use super::{Ctx, Outcome, view};

#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 it is there, every byte was compared, and it runs (with --no-wait: it is there); 1 failed; \
                        2 wrong usage; 4 the camera refused, or it would not be safe, and nothing was written."
)]
pub(crate) struct FlashArgs {
    /// Cameras: addresses, ids, or beginnings of ids; without any, those that oaktap.toml names
    #[arg(value_name = CAMERA, required_unless_present = "ApplicationArgs")]
    cameras: Vec<CameraArg>,

    /// A package that is there already, made by depthai or oaktap; without it, one is built from what is said below
    #[arg(long, value_name = "FILE.dap", conflicts_with_all = ["ApplicationArgs", "PackingArgs"])]
    app: Option<PathBuf>,

    /// The memory that it is written into; by default the eMMC where there is one
    #[arg(long, value_name = "auto|flash|emmc", default_value = "auto")]
    memory: Memory,

    /// Show what would be done, and do nothing but ask. The application stops all the same
    #[arg(long)]
    dry_run: bool,

    /// Write it even if it is there already
    #[arg(long)]
    force: bool,

    /// Write a receipt for each camera into this folder
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,

    /// Cameras that are flashed at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,

    /// What to do once it runs in all of them
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["dry_run", "no_wait"])]
    then: Option<Then>,

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    waiting: Waiting,

    #[command(flatten)]
    packing: PackingArgs,

    #[command(flatten)]
    application: ApplicationArgs,
}

/// What can be done with a camera whose application runs.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Then {
    /// Show its pictures in a window
    View,
}

/// What is flashed, and into which cameras.
struct Task {
    cameras: Vec<CameraArg>,
    package: Package,
    facts: PackageFacts,
    /// What its stream should be, if it says so.
    contract: Option<Contract>,
}

impl FlashArgs {
    fn task(&self) -> anyhow::Result<Task> {
        let (cameras, package, from) = match &self.app {
            Some(path) => (self.cameras.clone(), open(path)?, path.display().to_string()),
            None => {
                let file = self.application.read()?;
                let cameras = if self.cameras.is_empty() { file.cameras()? } else { self.cameras.clone() };
                if cameras.is_empty() {
                    let error = Usage("no camera is named".to_owned());
                    let help = "name them here, or in oaktap.toml (cameras = [\"192.168.1.50\"]); `oaktap list` shows those that \
                                are there";
                    return Err(advised(error.into(), help));
                }
                let simulated = cameras.iter().all(CameraArg::is_simulated);
                let packed = self.packing.pack(&file, if simulated { For::Simulated } else { For::Camera })?;
                (cameras, Package::parse(packed.bytes)?, format!("{} (built here)", packed.contract.name))
            }
        };
        let facts = PackageFacts::new(&package, from, present::sha256(package.bytes()));
        let contract = package.app_name().and_then(|name| name.parse().ok());
        Ok(Task { cameras, package, facts, contract })
    }
}

/// What became of one camera.
#[derive(Serialize)]
#[serde(untagged)]
enum Document {
    Receipt {
        command: &'static str,
        #[serde(flatten)]
        receipt: Box<Receipt>,
    },
    Plan {
        command: &'static str,
        camera: String,
        plan: String,
    },
}

impl Document {
    /// Where the stream of a camera is to be had that was seen to run this application.
    fn stream(&self, contract: Option<&Contract>) -> Option<SourceSpec> {
        let Self::Receipt { receipt, .. } = self else { return None };
        match contract.and_then(|contract| contract.endpoint) {
            Some(Endpoint { host: Some(host), port }) => Some(SourceSpec::Listen { host: host.to_string(), port }),
            // Its address may be another one than that of its bootloader.
            _ => receipt
                .running
                .as_ref()
                .and_then(Running::address)
                .map(|seen| SourceSpec::Tcp { host: seen.ip().to_string(), port: seen.port() }),
        }
    }
}

/// Flashes every camera. One that fails does not keep the others from their turn.
pub(crate) fn run(ctx: &Ctx, args: &FlashArgs) -> anyhow::Result<Outcome> {
    let task = args.task()?;
    if args.jobs > 1 && !args.how.yes {
        let text = "with --jobs nobody is asked, camera by camera, whether its application may stop: say --yes";
        return Err(Usage(text.to_owned()).into());
    }
    let next = AtomicUsize::new(0);
    let work = || -> anyhow::Result<Vec<_>> {
        let runtime = runtime()?;
        let mut done = Vec::new();
        while let Some((at, camera)) = take(&next, &task.cameras) {
            let result = runtime.block_on(one(args, &task, camera));
            let result = result.and_then(|document| tell(ctx, args, &document).map(|()| document));
            let result = if task.cameras.len() > 1 {
                let result = result.with_context(|| format!("flashing {camera} failed"));
                // At once, and not when the slowest is done.
                result.inspect_err(|error| _ = present::failure(error))
            } else {
                result
            };
            done.push((at, result));
        }
        Ok(done)
    };
    let workers = usize::from(args.jobs).min(task.cameras.len());
    let done = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.collect::<anyhow::Result<Vec<_>>>()
    });
    let mut done: Vec<_> = done?.into_iter().flatten().collect();
    done.sort_by_key(|(at, _)| *at);
    if let [(_, Err(_))] = done.as_slice() {
        return done.remove(0).1.map(|_| Outcome::Done);
    }
    let (mut failed, mut streams) = (Vec::new(), Vec::new());
    for (_, result) in done {
        match result {
            Ok(document) => streams.extend(document.stream(task.contract.as_ref())),
            Err(error) => failed.push(error),
        }
    }
    let (count, of) = (failed.len(), task.cameras.len());
    if count == 0 {
        return match args.then {
            Some(Then::View) => view::run(ctx, &ViewArgs::of(&streams, task.contract.as_ref())),
            None => Ok(Outcome::Done),
        };
    }
    let summary = format!("{count} of {of} cameras were not flashed; the same command again skips those that were");
    let all_refused = failed.iter().all(present::is_refusal);
    Err(if all_refused { Refused(summary).into() } else { anyhow::anyhow!(summary) })
}

/// The next camera whose turn it is.
fn take<'a>(next: &AtomicUsize, cameras: &'a [CameraArg]) -> Option<(usize, &'a CameraArg)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    cameras.get(at).map(|camera| (at, camera))
}

/// A package that has passed its own checks.
fn open(path: &Path) -> anyhow::Result<Package> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Package::parse(bytes).map_err(|error| {
        let error = Refused(format!("{}: {error}", path.display()));
        advised(
            error.into(),
            "nothing was sent to the camera; `oaktap inspect FILE.dap` shows all that is wrong with it",
        )
    })
}

/// Flashes one camera.
async fn one(args: &FlashArgs, task: &Task, camera: &CameraArg) -> anyhow::Result<Document> {
    let Task { package, facts, contract, .. } = task;
    let started = SystemTime::now();
    let entered = args.how.enter(camera, if args.dry_run { "to look at it" } else { "flashing" }).await?;
    let (options, package, dry_run) =
        (FlashOptions { memory: args.memory, force: args.force }, package.clone(), args.dry_run);
    let work =
        async move |caller: oaktap::bootloader::Caller| -> Result<(FlashTarget, String, Option<Flashed>), FlashError> {
            let plan = Plan::make(&caller, package, options).await?;
            let (target, text) = (plan.target().clone(), plan.to_string());
            let flashed = if dry_run { None } else { Some(plan.carry_out(&caller).await?) };
            Ok((target, text, flashed))
        };
    let (target, plan, flashed) = entered.talk(work).await?.map_err(flash_error)?;
    let Some(flashed) = flashed else {
        return Ok(Document::Plan { command: "flash", camera: entered.camera.id.clone(), plan });
    };
    let running = prove(&entered, args.waiting, &flashed, contract.as_ref()).await?;
    let finished = SystemTime::now();
    let receipt = Receipt {
        tool: concat!("oaktap ", env!("CARGO_PKG_VERSION")).to_owned(),
        started: utc(started),
        finished: utc(finished),
        camera: entered.camera.id.clone(),
        address: entered.address().to_string(),
        target,
        package: facts.clone(),
        flashed,
        read_back: true,
        running,
    };
    Ok(Document::Receipt { command: "flash", receipt: Box::new(receipt) })
}

/// `2026-11-21T10:15:00.123Z`
fn utc(time: SystemTime) -> String {
    chrono::DateTime::<chrono::Utc>::from(time).to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

async fn prove(
    entered: &Entered,
    waiting: Waiting,
    flashed: &Flashed,
    contract: Option<&Contract>,
) -> anyhow::Result<Option<Running>> {
    let id = &entered.camera.id;
    if flashed.written {
        present::say(&format!("{id}: written to the {} memory, read back, every byte is right", flashed.memory));
    } else {
        present::say(&format!(
            "{id}: it is there already, every byte of it; nothing was written (--force writes it anyway)"
        ));
    }
    entered.prove(waiting, contract).await.context("the application is written and proved, but was not seen to run")
}

fn tell(ctx: &Ctx, args: &FlashArgs, document: &Document) -> anyhow::Result<()> {
    if let (Document::Receipt { receipt, .. }, Some(folder)) = (document, &args.receipts) {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let time = receipt.finished.replace(':', "-");
        let path = folder.join(format!("{}_{time}.json", receipt.camera));
        let text = serde_json::to_string_pretty(receipt)?;
        std::fs::write(&path, text + "\n").with_context(|| format!("{} cannot be written", path.display()))?;
        present::say(&format!("{}: receipt in {}", receipt.camera, path.display()));
    }
    match document {
        _ if ctx.json => present::document(document),
        Document::Plan { camera, plan, .. } => present::result(format!("{camera}\n{plan}\n").as_bytes()),
        Document::Receipt { receipt, .. } => {
            let Receipt { camera, flashed, running, package, .. } = &**receipt;
            let what = if flashed.written { "written, read back and compared" } else { "compared: it was there" };
            let runs = if running.is_some() { "and runs" } else { "; not waited for" };
            let text = format!("{camera}: {} {} {runs}\n", package.file, what);
            present::result(present::printable(&text).as_bytes())
        }
    }
}

/// A refusal has an exit code of its own.
pub(super) fn flash_error(error: FlashError) -> anyhow::Error {
    let help = error.help();
    let refused = error.is_refusal();
    advised(if refused { Refused(error.to_string()).into() } else { error.into() }, help)
}
