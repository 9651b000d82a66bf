//! `oaktap erase`: erases the application of cameras.

use clap::Args;
use oaktap::bootloader::Memory;
use oaktap::flash::{FlashError, FoundApplication, erase_applications};
use serde::Serialize;

use crate::cli::bootloader_fleet::{BootloaderFleetArgs, Turn};
use crate::cli::camera_arg::runtime;
use crate::cli::camera_label::CameraLabel;
use crate::cli::effect::Effect;
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
    /// The memories that had an application; `None` if the bootloader cannot read them.
    found: Option<Vec<Memory>>,
    /// `true` if the section table was read back and is gone.
    proved: bool,
}

pub(crate) fn run(ctx: &Ctx, args: &EraseArgs) -> anyhow::Result<Outcome> {
    let effect = Effect::changing("erasing the application");
    args.fleet.fleet(&effect)?.each(ctx, &effect, |turn| erase(ctx, args.memory, turn))?;
    Ok(Outcome::Done)
}

fn erase(ctx: &Ctx, memory: Memory, turn: &Turn<'_>) -> anyhow::Result<()> {
    let task = async move |caller: oaktap::bootloader::Caller| {
        let found = FoundApplication::all(&caller).await?;
        let proved = erase_applications(&caller, memory).await?;
        let found = found.iter().map(FoundApplication::memory);
        // A bootloader that cannot read back could not read before, either.
        let found = proved.then(|| found.filter(|found| memory == Memory::Auto || memory == *found).collect());
        Ok((found, proved))
    };
    let (label, (found, proved)) = runtime()?.block_on(async {
        let entered = turn.enter(ctx).await?;
        let erased: Result<(Option<Vec<Memory>>, bool), FlashError> = entered.talk(task).await?;
        anyhow::Ok((entered.label, erased.map_err(flash_error)?))
    })?;
    if ctx.json {
        return present::document(&EraseReport { command: ctx.command, label, memory, found, proved });
    }
    let text = match (&found, proved) {
        (Some(found), true) if found.is_empty() => {
            "there was no application; its section table was read back and is empty"
        }
        (_, true) => "application erased; its section table was read back and is gone",
        (_, false) => "application erased; not verified, because this bootloader cannot read back",
    };
    present::result(printable(&format!("{label}: {text}\n")).as_bytes())
}
