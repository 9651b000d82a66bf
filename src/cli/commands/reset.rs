//! `oaktap reset` and `oaktap boot`: reboots cameras and waits for their applications.

use clap::Args;
use oaktap::flash::boot_obstacle;
use serde::Serialize;

use crate::cli::bootloader_fleet::{BootloaderFleetArgs, Turn};
use crate::cli::camera_arg::runtime;
use crate::cli::camera_label::CameraLabel;
use crate::cli::camera_session::{BootWaitArgs, BootloaderCamera, RunningApplication};
use crate::cli::effect::{Asks, Effect, Waits};
use crate::cli::present::{self, advised, camera_error, printable};
use crate::cli::{Ctx, Outcome, json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap reset 192.168.1.50 192.168.1.51
  oaktap boot 14442C
  oaktap reset --config oaktap.toml --yes

`reset` restarts a camera whatever it does. `boot` lets one that waits in its bootloader boot its application, and leaves one \
alone that runs it.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print the running application and its first frame as one line of JSON per camera"))]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    fleet: BootloaderFleetArgs,

    #[command(flatten)]
    waiting: BootWaitArgs,
}

#[derive(Serialize)]
struct ResetReport {
    command: &'static str,
    #[serde(flatten)]
    label: CameraLabel,
    /// `null` with `--no-wait`, or if the application was running already.
    running: Option<RunningApplication>,
}

pub(crate) fn reset(ctx: &Ctx, args: &ResetArgs) -> anyhow::Result<Outcome> {
    let waits = Waits::AfterFailure.unless(args.waiting.no_wait);
    let effect = Effect { waits, ..Effect::reading("rebooting") };
    let reset = |turn: &Turn<'_>| {
        let report = runtime()?.block_on(async { start(args, ctx.command, turn.enter(ctx).await?).await })?;
        print(ctx, &report)
    };
    args.fleet.fleet(&effect)?.each(ctx, &effect, reset)?;
    Ok(Outcome::Done)
}

/// Does nothing if the camera runs its application already.
pub(crate) fn boot(ctx: &Ctx, args: &ResetArgs) -> anyhow::Result<Outcome> {
    let effect = Effect { asks: Asks::Never, ..Effect::reading("leaving the bootloader") };
    args.fleet.fleet(&effect)?.each(ctx, &effect, |turn| print(ctx, &boot_one(ctx, args, turn)?))?;
    Ok(Outcome::Done)
}

fn boot_one(ctx: &Ctx, args: &ResetArgs, turn: &Turn<'_>) -> anyhow::Result<ResetReport> {
    if turn.runs_an_application() {
        let label = turn.label();
        present::say(&format!("{label}: the application is running already"));
        return Ok(ResetReport { command: ctx.command, label, running: None });
    }
    runtime()?.block_on(async { start(args, ctx.command, turn.enter(ctx).await?).await })
}

async fn start(args: &ResetArgs, command: &'static str, entered: BootloaderCamera) -> anyhow::Result<ResetReport> {
    // Every session ends with a reset (bootloader.md 2.3).
    let obstacle = entered.talk(|caller| async move { boot_obstacle(&caller).await }).await?.map_err(camera_error)?;
    if let Some(obstacle) = obstacle.filter(|_| !args.waiting.no_wait) {
        let error = anyhow::anyhow!("camera {} was reset, but {obstacle}", entered.camera.id);
        return Err(advised(error, obstacle.help()));
    }
    let running = entered.wait_until_running(args.waiting, None, None).await?;
    Ok(ResetReport { command, label: entered.label, running })
}

fn print(ctx: &Ctx, report: &ResetReport) -> anyhow::Result<()> {
    if ctx.json {
        present::document(report)?;
    } else {
        let text = if report.running.is_some() { "application running" } else { "done" };
        present::result(printable(&format!("{}: {text}\n", report.label)).as_bytes())?;
    }
    Ok(())
}
