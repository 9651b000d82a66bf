//! `oaktap erase`: erases the application of cameras.

use clap::Args;
use oaktap::bootloader::Memory;
use oaktap::flash::erase_applications;
use serde::Serialize;

use crate::cli::bootloader_fleet::{BootloaderFleetArgs, Turn};
use crate::cli::camera_arg::runtime;
use crate::cli::camera_label::CameraLabel;
use crate::cli::effect::{Asks, Effect};
use crate::cli::present::{self, flash_error, printable};
use crate::cli::value_parsers::one_of;
use crate::cli::{Ctx, Outcome, json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap erase 192.168.1.50
  oaktap erase 14442C --memory emmc --yes
  oaktap erase front yard --config oaktap.toml

A camera without an application waits in its bootloader; `oaktap backup` saves the application before, and `oaktap flash` \
writes one.

Needs the name of each camera, not --config alone. Asks once, with a list of the cameras. If it fails for one of several cameras, the others are erased all the same.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print what was erased as one line of JSON per camera"))]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    fleet: BootloaderFleetArgs,

    /// Memory to erase the application from: auto (every memory), flash or emmc
    #[arg(long, value_name = "MEMORY", default_value = "auto", hide_possible_values = true,
          value_parser = one_of(["auto", "flash", "emmc"], str::parse::<Memory>))]
    memory: Memory,
}

#[derive(Serialize)]
struct EraseReport {
    command: &'static str,
    #[serde(flatten)]
    label: CameraLabel,
    memory: Memory,
    /// `true` if the section table was read back and is gone.
    proved: bool,
}

pub(crate) fn run(ctx: &Ctx, args: &EraseArgs) -> anyhow::Result<Outcome> {
    let effect = Effect { asks: Asks::Always, ..Effect::changing("erasing the application") };
    args.fleet.fleet(&effect)?.each(ctx, &effect, |turn| erase(ctx, args.memory, turn))?;
    Ok(Outcome::Done)
}

fn erase(ctx: &Ctx, memory: Memory, turn: &Turn<'_>) -> anyhow::Result<()> {
    let task = async move |caller: oaktap::bootloader::Caller| erase_applications(&caller, memory).await;
    let (label, proved) = runtime()?.block_on(async {
        let entered = turn.enter(ctx).await?;
        let proved = entered.talk(task).await?.map_err(flash_error)?;
        anyhow::Ok((entered.label, proved))
    })?;
    if ctx.json {
        return present::document(&EraseReport { command: ctx.command, label, memory, proved });
    }
    let proof = if proved {
        "its section table was read back and is gone"
    } else {
        "not verified, because this bootloader cannot read back"
    };
    present::result(printable(&format!("{label}: application erased; {proof}\n")).as_bytes())
}
