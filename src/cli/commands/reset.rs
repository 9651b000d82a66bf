//! `oaktap reset` and `oaktap boot`: reboots a camera and waits for its application.

use clap::Args;
use oaktap::discovery::CameraState;
use serde::Serialize;

use crate::cli::camera_arg::runtime;
use crate::cli::camera_session::{BootWaitArgs, BootloaderCamera, EnterArgs, EnterEachArgs, RunningApplication};
use crate::cli::present::{self, camera_error, printable};
use crate::cli::{Ctx, Outcome, json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap reset 192.168.1.50 192.168.1.51
  oaktap boot 14442C";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print the running application and its first frame as one line of JSON per camera"))]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    enter: EnterEachArgs,

    #[command(flatten)]
    waiting: BootWaitArgs,
}

#[derive(Serialize)]
struct ResetReport {
    command: &'static str,
    camera: String,
    /// `null` with `--no-wait`, or if the application was running already.
    running: Option<RunningApplication>,
}

pub(crate) fn reset(ctx: &Ctx, args: &ResetArgs) -> anyhow::Result<Outcome> {
    let reset = |enter: &EnterArgs| {
        let report = runtime()?.block_on(async {
            let entered = enter.enter(&ctx.stop, "rebooting").await?;
            start(args, ctx.command, entered).await
        })?;
        print(ctx, &report)
    };
    args.enter.each(ctx, reset).map(|()| Outcome::Done)
}

/// Does nothing if the camera runs its application already.
pub(crate) fn boot(ctx: &Ctx, args: &ResetArgs) -> anyhow::Result<Outcome> {
    args.enter.each(ctx, |enter| print(ctx, &boot_one(ctx, args, enter)?)).map(|()| Outcome::Done)
}

fn boot_one(ctx: &Ctx, args: &ResetArgs, enter: &EnterArgs) -> anyhow::Result<ResetReport> {
    runtime()?.block_on(async {
        let located = enter.options.locate(&enter.camera, &ctx.stop).await?;
        if let Some(camera) = located.camera.as_ref().filter(|camera| camera.state == CameraState::FlashBooted) {
            present::say(&format!("{}: the application is running already", camera.id));
            return Ok(ResetReport { command: ctx.command, camera: camera.id.clone(), running: None });
        }
        let entered = enter.options.enter_at(located, &ctx.stop, "leaving the bootloader").await?;
        start(args, ctx.command, entered).await
    })
}

async fn start(args: &ResetArgs, command: &'static str, entered: BootloaderCamera) -> anyhow::Result<ResetReport> {
    // Every session ends with a reset (bootloader.md 2.3).
    entered.talk(|caller| async move { caller.identify().await }).await?.map_err(camera_error)?;
    let running = entered.wait_until_running(args.waiting, None).await?;
    Ok(ResetReport { command, camera: entered.camera.id, running })
}

fn print(ctx: &Ctx, report: &ResetReport) -> anyhow::Result<()> {
    if ctx.json {
        present::document(report)?;
    } else {
        let text = if report.running.is_some() { "application running" } else { "done" };
        present::result(printable(&format!("{}: {text}\n", report.camera)).as_bytes())?;
    }
    Ok(())
}
