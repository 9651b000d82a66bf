//! `oaktap info`: shows the bootloader, memories, application and settings of cameras.

use clap::Args;
use oaktap::bootloader::{ApplicationDetails, Caller, ClientError, Memory, SettingsError};
use oaktap::flash::{FlashTarget, application_damage, application_details};
use serde::Serialize;

use crate::cli::bootloader_fleet::{BootloaderFleetArgs, Turn};
use crate::cli::camera_arg::runtime;
use crate::cli::camera_label::CameraLabel;
use crate::cli::effect::Effect;
use crate::cli::present::{self, camera_error, printable, settings_error};
use crate::cli::{Ctx, Outcome, json_option};

const NOTE: &str = "\
Examples:
  oaktap info 192.168.1.50
  oaktap info 14442C 18443010 --yes --json
  oaktap info --config oaktap.toml --yes

The application on the camera stops while its bootloader is queried and its memory is read to check the application for \
damage, and starts again afterwards.";

#[derive(Args, Debug)]
#[command(arg = json_option("Print everything as one line of JSON per camera"), after_help = NOTE)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    fleet: BootloaderFleetArgs,
}

#[derive(Serialize)]
struct InfoReport {
    command: &'static str,
    #[serde(flatten)]
    label: CameraLabel,
    address: String,
    #[serde(flatten)]
    target: FlashTarget,
    applications: Vec<MemoryApplication>,
    /// `null`: the camera has no settings and uses its defaults.
    settings: serde_json::Value,
}

#[derive(Serialize)]
struct MemoryApplication {
    memory: Memory,
    #[serde(flatten)]
    details: ApplicationDetails,
    /// One text per damaged section.
    damage: Vec<String>,
}

pub(crate) fn run(ctx: &Ctx, args: &InfoArgs) -> anyhow::Result<Outcome> {
    let effect = Effect::querying("reading the bootloader");
    args.fleet.fleet(&effect)?.each(ctx, &effect, |turn| show(ctx, turn))?;
    Ok(Outcome::Done)
}

fn show(ctx: &Ctx, turn: &Turn<'_>) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let (entered, answers) = runtime.block_on(async {
        let entered = turn.enter(ctx).await?;
        let answers = entered.talk(|caller| async move { ask(&caller).await }).await?.map_err(camera_error)?;
        anyhow::Ok((entered, answers))
    })?;
    let (target, applications, settings) = answers;
    let settings = settings.map_err(settings_error)?;
    let label = entered.label.clone();
    let address = entered.address().to_string();
    let report = InfoReport { command: ctx.command, label, address, target, applications, settings };
    if ctx.json {
        present::document(&report)?;
    } else {
        present::result(printable(&text(&report)).as_bytes())?;
    }
    Ok(())
}

type BootloaderAnswers = (FlashTarget, Vec<MemoryApplication>, Result<serde_json::Value, SettingsError>);

async fn ask(caller: &Caller) -> Result<BootloaderAnswers, ClientError> {
    let target = FlashTarget::ask(caller).await?;
    let mut applications = Vec::new();
    for memory in target.memories.iter().flatten() {
        if let Some(details) = application_details(caller, &target, memory.memory).await? {
            applications.push(MemoryApplication { memory: memory.memory, details, damage: Vec::new() });
        }
    }
    let settings = if target.bootloader.version >= oaktap::bootloader::Version::FLASHES_OVER_NETWORK {
        caller
            .settings()
            .await
            .map(|settings| settings.map_or(serde_json::Value::Null, |config| config.document().to_json()))
    } else {
        Ok(serde_json::Value::Null)
    };
    for application in applications.iter_mut().filter(|application| application.details.present) {
        if let Some(memory) = target.memory(application.memory) {
            application.damage = application_damage(caller, memory).await?;
        }
    }
    Ok((target, applications, settings))
}

fn text(report: &InfoReport) -> String {
    let InfoReport { label, address, target, applications, settings, .. } = report;
    let boot = &target.bootloader;
    let slot = if boot.user { ", from the user slot" } else { "" };
    let mut text = format!("{label} at {address}\nbootloader   {} ({}{slot})", boot.version, boot.kind);
    if let Some(commit) = &boot.commit {
        text.push_str(&format!(", commit {commit}"));
    }
    text.push('\n');
    match &target.memories {
        None => text.push_str("memories     unknown: this bootloader does not report them\n"),
        Some(memories) if memories.is_empty() => text.push_str("memories     none\n"),
        Some(memories) => {
            for details in memories {
                let mib = details.size as f64 / f64::from(1 << 20);
                text.push_str(&format!("memory       {}: {mib:.0} MiB {}\n", details.memory, details.info));
            }
        }
    }
    for MemoryApplication { memory, details, damage } in applications {
        let unknown = || "unknown".to_owned();
        text.push_str(&if details.present {
            let name = details.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "unnamed".to_owned());
            format!(
                "application  {memory}: {name}, firmware {}\n",
                details.firmware_version.clone().unwrap_or_else(unknown)
            )
        } else {
            format!("application  {memory}: none\n")
        });
        text.extend(damage.iter().map(|fault| format!("             {fault}\n")));
        if !damage.is_empty() {
            text.push_str("             flash it again, or erase it: the camera boots it although it is damaged\n");
        }
    }
    match settings {
        serde_json::Value::Null => text.push_str("settings     none: the camera uses its defaults\n"),
        settings => text.push_str(&format!("settings     {settings}\n")),
    }
    text
}
