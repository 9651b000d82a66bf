//! `oaktap erase`: the application out of a camera.

use clap::Args;
use oaktap::bootloader::Memory;
use oaktap::flash::erase_applications;
use serde::Serialize;

use super::camera::runtime;
use super::enter::EnterArgs;
use super::flash::flash_error;
use super::present::{self, printable};
use super::{Ctx, Outcome};

#[derive(Args, Debug)]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    enter: EnterArgs,

    /// The memory that it is taken out of; by default all that it has
    #[arg(long, value_name = "auto|flash|emmc", default_value = "auto")]
    memory: Memory,
}

#[derive(Serialize)]
struct Document {
    command: &'static str,
    camera: String,
    memory: Memory,
    /// Its table was read back and is gone.
    proved: bool,
}

/// Erases, and says what was proved.
pub(crate) fn run(ctx: &Ctx, args: &EraseArgs) -> anyhow::Result<Outcome> {
    let memory = args.memory;
    let task = async move |caller: oaktap::bootloader::Caller| erase_applications(&caller, memory).await;
    let (camera, proved) = runtime()?.block_on(async {
        let entered = args.enter.enter("erasing the application").await?;
        if !entered.was_running {
            args.enter.how.consent(&format!("the application in camera {} will be erased", entered.camera.id))?;
        }
        let proved = entered.talk(task).await?.map_err(flash_error)?;
        anyhow::Ok((entered.camera.id, proved))
    })?;
    if ctx.json {
        present::document(&Document { command: "erase", camera, memory, proved })?;
    } else {
        let proof = if proved {
            "its table was read back and is gone"
        } else {
            "this bootloader cannot be read, so nobody knows"
        };
        present::result(printable(&format!("{camera}: the application is erased; {proof}\n")).as_bytes())?;
    }
    Ok(Outcome::Done)
}
