//! `oaktap flash`: an application into a camera, and the proof that it runs.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;
use oaktap::bootloader::Memory;
use oaktap::flash::package::Package;
use oaktap::flash::{FlashError, Flashed, PackageFacts, Plan, Receipt, Target, Wish};
use serde::Serialize;
use sha2::Digest as _;

use super::camera::{CAMERA, CameraArg, runtime};
use super::enter::{Entered, How, Running, Waiting};
use super::present::{self, Refused, advised};
use super::{Ctx, Outcome};

#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 it is there, every byte was compared, and it runs (with --no-wait: it is there); 1 failed; \
                        2 wrong usage; 4 the camera refused, or it would not be safe, and nothing was written."
)]
pub(crate) struct FlashArgs {
    /// Cameras: addresses, ids, or beginnings of ids. One is flashed after the other
    #[arg(value_name = CAMERA, required = true)]
    cameras: Vec<CameraArg>,

    /// The application: a package made by depthai or oaktap
    #[arg(long, value_name = "FILE.dap")]
    app: PathBuf,

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

    #[command(flatten)]
    how: How,

    #[command(flatten)]
    waiting: Waiting,
}

/// What became of one camera.
#[derive(Serialize)]
#[serde(untagged)]
enum Document {
    Receipt {
        command: &'static str,
        #[serde(flatten)]
        receipt: Box<Receipt<Running>>,
    },
    Plan {
        command: &'static str,
        camera: String,
        plan: String,
    },
}

/// Flashes, camera by camera. One that fails does not keep the others from their turn.
pub(crate) fn run(ctx: &Ctx, args: &FlashArgs) -> anyhow::Result<Outcome> {
    let package = open(&args.app)?;
    let hash = sha2::Sha256::digest(package.bytes());
    let sha256: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let facts = PackageFacts::new(&package, args.app.display().to_string(), sha256);
    let runtime = runtime()?;
    let mut failed = Vec::new();
    for camera in &args.cameras {
        let done =
            runtime.block_on(one(args, camera, &package, &facts)).and_then(|document| tell(ctx, args, &document));
        if let Err(error) = done {
            if args.cameras.len() == 1 {
                return Err(error);
            }
            present::failure(&error);
            failed.push(error);
        }
    }
    let (count, of) = (failed.len(), args.cameras.len());
    if count == 0 {
        return Ok(Outcome::Done);
    }
    let summary = format!("{count} of {of} cameras were not flashed; the same command again skips those that were");
    let all_refused = failed.iter().all(present::is_refusal);
    Err(if all_refused { Refused(summary).into() } else { anyhow::anyhow!(summary) })
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

async fn one(
    args: &FlashArgs,
    camera: &CameraArg,
    package: &Package,
    facts: &PackageFacts,
) -> anyhow::Result<Document> {
    let started = SystemTime::now();
    let entered = args.how.enter(camera, if args.dry_run { "to look at it" } else { "flashing" }).await?;
    let (wish, package, dry_run) = (Wish { memory: args.memory, force: args.force }, package.clone(), args.dry_run);
    let task =
        async move |caller: oaktap::bootloader::Caller| -> Result<(Target, String, Option<Flashed>), FlashError> {
            let plan = Plan::make(&caller, package, wish).await?;
            let (target, text) = (plan.target().clone(), plan.to_string());
            let flashed = if dry_run { None } else { Some(plan.carry_out(&caller).await?) };
            Ok((target, text, flashed))
        };
    let (target, plan, flashed) = entered.talk(task).await?.map_err(flash_error)?;
    let Some(flashed) = flashed else {
        return Ok(Document::Plan { command: "flash", camera: entered.camera.id.clone(), plan });
    };
    let running = prove(&entered, args.waiting, &flashed).await?;
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

async fn prove(entered: &Entered, waiting: Waiting, flashed: &Flashed) -> anyhow::Result<Option<Running>> {
    let id = &entered.camera.id;
    if flashed.written {
        present::say(&format!("{id}: written to the {} memory, read back, every byte is right", flashed.memory));
    } else {
        present::say(&format!(
            "{id}: it is there already, every byte of it; nothing was written (--force writes it anyway)"
        ));
    }
    entered.prove(waiting).await.context("the application is written and proved, but was not seen to run")
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
