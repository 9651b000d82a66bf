//! `oaktap reset` and `oaktap boot`: a camera starts anew, and is seen to run.

use clap::Args;
use oaktap::discovery::CameraState;
use serde::Serialize;

use crate::cli::camera_arg::runtime;
use crate::cli::camera_session::{EnterArgs, Entered, Running, Waiting};
use crate::cli::present::{self, camera_error, printable};
use crate::cli::{Ctx, Outcome};

#[derive(Args, Debug)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    enter: EnterArgs,

    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Serialize)]
struct Document {
    command: &'static str,
    camera: String,
    /// `null`: it was not waited for.
    running: Option<Running>,
}

/// Stops the application, and starts it again.
pub(crate) fn reset(ctx: &Ctx, args: &ResetArgs) -> anyhow::Result<Outcome> {
    let document = runtime()?.block_on(async {
        let entered = args.enter.enter("resetting").await?;
        start(args, "reset", entered).await
    })?;
    tell(ctx, &document)
}

/// Leaves the bootloader. A camera that runs its application is left alone.
pub(crate) fn boot(ctx: &Ctx, args: &ResetArgs) -> anyhow::Result<Outcome> {
    let document = runtime()?.block_on(async {
        let located = args.enter.camera.locate(&args.enter.how.search).await?;
        if let Some(camera) = located.camera.as_ref().filter(|camera| camera.state == CameraState::FlashBooted) {
            present::say(&format!("{}: it runs its application already", camera.id));
            return Ok(Document { command: "boot", camera: camera.id.clone(), running: None });
        }
        let entered = args.enter.how.enter_at(located, "leaving the bootloader").await?;
        start(args, "boot", entered).await
    })?;
    tell(ctx, &document)
}

async fn start(args: &ResetArgs, command: &'static str, entered: Entered) -> anyhow::Result<Document> {
    // The end of any session is a reset (bootloader.md 2.3).
    entered.talk(|caller| async move { caller.identify().await }).await?.map_err(camera_error)?;
    let running = entered.prove(args.waiting, None).await?;
    Ok(Document { command, camera: entered.camera.id, running })
}

fn tell(ctx: &Ctx, document: &Document) -> anyhow::Result<Outcome> {
    if ctx.json {
        present::document(document)?;
    } else {
        let text = if document.running.is_some() { "it runs its application" } else { "done" };
        present::result(printable(&format!("{}: {text}\n", document.camera)).as_bytes())?;
    }
    Ok(Outcome::Done)
}
