//! `oaktap info`: what a camera's bootloader tells.

use clap::Args;
use oaktap::bootloader::{ApplicationDetails, Caller, ClientError, Memory, SettingsError};
use oaktap::flash::{FlashTarget, application_details};
use serde::Serialize;

use super::camera::runtime;
use super::enter::{EnterArgs, camera_error, settings_error};
use super::present::{self, printable};
use super::{Ctx, Outcome};

#[derive(Args, Debug)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    enter: EnterArgs,
}

#[derive(Serialize)]
struct Document {
    command: &'static str,
    camera: String,
    address: String,
    #[serde(flatten)]
    target: FlashTarget,
    applications: Vec<Application>,
    /// `null`: the camera has none and uses its defaults.
    configuration: serde_json::Value,
}

#[derive(Serialize)]
struct Application {
    memory: Memory,
    #[serde(flatten)]
    details: ApplicationDetails,
}

/// Asks, and shows.
pub(crate) fn run(ctx: &Ctx, args: &InfoArgs) -> anyhow::Result<Outcome> {
    let runtime = runtime()?;
    let (entered, known) = runtime.block_on(async {
        let entered = args.enter.enter("to be asked, a camera enters its bootloader").await?;
        let known = entered.talk(|caller| async move { ask(&caller).await }).await?.map_err(camera_error)?;
        anyhow::Ok((entered, known))
    })?;
    let (target, applications, configuration) = known;
    let configuration = configuration.map_err(settings_error)?;
    let camera = entered.camera.id.clone();
    let address = entered.address().to_string();
    let document = Document { command: "info", camera, address, target, applications, configuration };
    if ctx.json {
        present::document(&document)?;
    } else {
        present::result(printable(&text(&document)).as_bytes())?;
    }
    if entered.was_running {
        present::say(&format!("{}: the camera was reset and starts its application again", entered.camera.id));
    }
    Ok(Outcome::Done)
}

type Known = (FlashTarget, Vec<Application>, Result<serde_json::Value, SettingsError>);

async fn ask(caller: &Caller) -> Result<Known, ClientError> {
    let target = FlashTarget::ask(caller).await?;
    let mut applications = Vec::new();
    let memories: Vec<Memory> = target.memories.iter().flatten().map(|details| details.memory).collect();
    for memory in memories {
        if let Some(details) = application_details(caller, &target, memory).await? {
            applications.push(Application { memory, details });
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
    Ok((target, applications, settings))
}

fn text(document: &Document) -> String {
    let Document { camera, address, target, applications, configuration, .. } = document;
    let boot = &target.bootloader;
    let slot = if boot.user { ", the one in the user's slot" } else { "" };
    let mut text = format!("{camera} at {address}\nbootloader   {} ({}{slot})", boot.version, boot.kind);
    if let Some(commit) = &boot.commit {
        text.push_str(&format!(", commit {commit}"));
    }
    text.push('\n');
    match &target.memories {
        None => text.push_str("memories     unknown: this version cannot tell\n"),
        Some(memories) if memories.is_empty() => text.push_str("memories     none\n"),
        Some(memories) => {
            for details in memories {
                let mib = details.size as f64 / f64::from(1 << 20);
                text.push_str(&format!("memory       {}: {mib:.0} MiB {}\n", details.memory, details.info));
            }
        }
    }
    for Application { memory, details } in applications {
        let unknown = || "unknown".to_owned();
        text.push_str(&if details.present {
            let name =
                details.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "without a name".to_owned());
            format!(
                "application  {memory}: {name}, firmware {}\n",
                details.firmware_version.clone().unwrap_or_else(unknown)
            )
        } else {
            format!("application  {memory}: none\n")
        });
    }
    match configuration {
        serde_json::Value::Null => text.push_str("settings     none: the camera uses its defaults\n"),
        settings => text.push_str(&format!("settings     {settings}\n")),
    }
    text
}
