//! `oaktap erase`: erases the application of a camera.

use clap::Args;
use oaktap::bootloader::Memory;
use oaktap::flash::erase_applications;
use serde::Serialize;

use crate::cli::camera_arg::runtime;
use crate::cli::camera_session::EnterArgs;
use crate::cli::present::{self, flash_error, printable};
use crate::cli::value_parsers::one_of;
use crate::cli::{Ctx, Outcome, json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap erase 192.168.1.50
  oaktap erase 14442C --memory emmc --yes";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print what was erased as one line of JSON"))]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    enter: EnterArgs,

    /// Memory to erase the application from: auto (every memory), flash or emmc
    #[arg(long, value_name = "MEMORY", default_value = "auto", hide_possible_values = true,
          value_parser = one_of(["auto", "flash", "emmc"], str::parse::<Memory>))]
    memory: Memory,
}

#[derive(Serialize)]
struct EraseReport {
    command: &'static str,
    camera: String,
    memory: Memory,
    /// `true` if the section table was read back and is gone.
    proved: bool,
}

pub(crate) fn run(ctx: &Ctx, args: &EraseArgs) -> anyhow::Result<Outcome> {
    let memory = args.memory;
    let task = async move |caller: oaktap::bootloader::Caller| erase_applications(&caller, memory).await;
    let (camera, proved) = runtime()?.block_on(async {
        let entered = args.enter.enter(&ctx.stop, "erasing the application").await?;
        if !entered.was_running {
            let what = format!("this erases the application of camera {}", entered.camera.id);
            args.enter.options.consent(&what, &ctx.stop)?;
        }
        let proved = entered.talk(task).await?.map_err(flash_error)?;
        anyhow::Ok((entered.camera.id, proved))
    })?;
    if ctx.json {
        present::document(&EraseReport { command: ctx.command, camera, memory, proved })?;
    } else {
        let proof = if proved {
            "its section table was read back and is gone"
        } else {
            "not verified, because this bootloader cannot read back"
        };
        present::result(printable(&format!("{camera}: application erased; {proof}\n")).as_bytes())?;
    }
    Ok(Outcome::Done)
}
