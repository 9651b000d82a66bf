//! `oaktap bootloader`: shows or updates the bootloader of cameras.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use oaktap::bootloader::config::UserBootloader;
use oaktap::bootloader::{BootloaderInfo, Caller, SettingsError, Version};
use oaktap::device::firmware;
use oaktap::flash::{
    BootloaderImage, FlashError, boot_from_memory, factory_reset, write_factory_bootloader, write_user_bootloader,
};
use serde::Serialize;

use crate::cli::bootloader_fleet::{BootloaderFleetArgs, Turn};
use crate::cli::camera_arg::runtime;
use crate::cli::camera_label::CameraLabel;
use crate::cli::camera_session::{BootloaderCamera, answer};
use crate::cli::effect::{Effect, Waits};
use crate::cli::present::{self, Refused, advised, flash_error, printable, settings_error};
use crate::cli::signals::Stop;
use crate::cli::{Ctx, Outcome, json_option};

/// Most attempts to talk to the bootloader after its reset.
const GREETINGS_MAX: u32 = 3;

const EXAMPLES: &str = "\
Examples:
  oaktap bootloader 192.168.1.50 show
  oaktap bootloader 14442C update --image depthai-2.30.0.0-cp311-....whl
  oaktap bootloader --config oaktap.toml show

The bootloader starts when the camera is switched on, and boots the application. A camera needs another one only if `show` \
recommends it, or `oaktap flash` asks for it.

A change needs the name of each camera, not --config alone. It asks once, with a list of the cameras, and stops at the first \
that fails. Before each write to a factory slot, the id of the camera must be typed.";

#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    subcommand_precedence_over_arg = true,
    arg = json_option("Print the bootloader, before and after a change, as one line of JSON per camera")
)]
pub(crate) struct BootloaderArgs {
    #[command(flatten)]
    fleet: BootloaderFleetArgs,

    #[command(subcommand)]
    action: BootloaderAction,

    /// Do not wait until the camera and its application run again
    #[arg(long, global = true)]
    no_wait: bool,
}

/// The same mistake would leave every camera without a bootloader.
const WRITING: Effect<'_> = Effect { stops_at_failure: true, ..Effect::changing("writing a bootloader") };

const SLOTS: &str = "\
The user slot exists from bootloader 0.0.21 on; if the one in it fails, the camera boots the factory slot. Older \
bootloaders have the factory slot only, and update writes it.";

const RESET: &str = "\
Afterwards the camera has no application and gets its address from a DHCP server; `oaktap flash` writes an application. If it \
loses power while the factory slot is written, it can only be repaired over USB.";

#[derive(Clone, Debug, Subcommand)]
enum BootloaderAction {
    /// Show version, type and slots. This stops the application for a moment
    #[command(override_usage = "oaktap bootloader [CAMERA]... show [OPTIONS]")]
    Show,
    /// Write another bootloader, to the user slot by default
    #[command(after_help = SLOTS, override_usage = "oaktap bootloader <CAMERA>... update [OPTIONS] --image <FILE>")]
    Update {
        /// Bootloader image, or a depthai wheel (.whl) that contains one
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
        /// Write to the user slot
        #[arg(long, conflicts_with = "factory")]
        user: bool,
        /// Write to the factory slot. If the camera loses power meanwhile, it can only be repaired over USB
        #[arg(long)]
        factory: bool,
    },
    /// Write the factory slot; erase the settings, the user slot and the application
    #[command(
        after_help = RESET,
        override_usage = "oaktap bootloader <CAMERA>... factory-reset [OPTIONS] --image <FILE>"
    )]
    FactoryReset {
        /// Bootloader image, or a depthai wheel (.whl) that contains one
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum BootloaderSlot {
    User,
    Factory,
    FactoryReset,
}

#[derive(Serialize)]
struct BootloaderReport {
    command: &'static str,
    #[serde(flatten)]
    label: CameraLabel,
    #[serde(flatten)]
    before: BootloaderInfo,
    /// The contents of the user slot according to the settings.
    user_slot: Option<UserBootloader>,
    written: Option<BootloaderSlot>,
    /// The bootloader after the change; `null` if nothing was written, or with `--no-wait`.
    after: Option<BootloaderInfo>,
}

pub(crate) fn run(ctx: &Ctx, args: &BootloaderArgs) -> anyhow::Result<Outcome> {
    let (effect, change) = match &args.action {
        BootloaderAction::Show => {
            (Effect { waits: Waits::Always.unless(args.no_wait), ..Effect::reading("reading the bootloader") }, None)
        }
        BootloaderAction::Update { image, user, factory } => {
            let slot = if *user { Some(BootloaderSlot::User) } else { factory.then_some(BootloaderSlot::Factory) };
            (Effect { waits: Waits::Always.unless(args.no_wait), ..WRITING }, Some((open(image)?, slot)))
        }
        BootloaderAction::FactoryReset { image } => (WRITING, Some((open(image)?, Some(BootloaderSlot::FactoryReset)))),
    };
    let show_or_write = |turn: &Turn<'_>| {
        let report = runtime()?.block_on(async {
            match &change {
                None => show(ctx, turn).await,
                Some((image, slot)) => write(ctx, args, turn, Arc::clone(image), *slot).await,
            }
        })?;
        if ctx.json { present::document(&report) } else { present::result(printable(&text(&report)).as_bytes()) }
    };
    args.fleet.fleet(&effect)?.each(ctx, &effect, show_or_write)?;
    Ok(Outcome::Done)
}

/// Reads a bootloader image for the network from the file, or from the depthai wheel.
fn open(path: &std::path::Path) -> anyhow::Result<Arc<BootloaderImage>> {
    let mut bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if firmware::is_package(&bytes) {
        let (name, image) = firmware::image(&bytes, firmware::NETWORK_BOOTLOADER)
            .with_context(|| format!("cannot read a bootloader from {}", path.display()))?;
        let sha256: String = present::sha256(&image);
        present::say(&format!("{name} from {}: {} bytes, SHA-256 {sha256}", path.display(), image.len()));
        bytes = image;
    }
    let image = BootloaderImage::new(bytes).map_err(|error| {
        let error = Refused(format!("{} is not a bootloader for a PoE camera: {error}", path.display()));
        advised(error.into(), "nothing was sent to the camera")
    })?;
    Ok(Arc::new(image))
}

async fn show(ctx: &Ctx, turn: &Turn<'_>) -> anyhow::Result<BootloaderReport> {
    let entered = turn.enter(ctx).await?;
    let (before, user_slot) = entered.talk(greet).await?.map_err(settings_error)?;
    Ok(BootloaderReport { command: ctx.command, label: entered.label, before, user_slot, written: None, after: None })
}

/// The camera may answer the search just before its reset, and then close the connection.
async fn greet_again(entered: &BootloaderCamera, stop: &Stop) -> anyhow::Result<BootloaderInfo> {
    let mut attempts = 1;
    loop {
        match entered.reenter().await?.talk(greet).await {
            Err(error) if attempts < GREETINGS_MAX && !stop.asked() => tracing::debug!("trying again: {error:#}"),
            result => return Ok(result?.map_err(settings_error)?.0),
        }
        attempts += 1;
    }
}

async fn greet(caller: Caller) -> Result<(BootloaderInfo, Option<UserBootloader>), SettingsError> {
    let greeting = caller.identify().await?;
    let mut user_slot = None;
    if greeting.version >= Version::HAS_USER_SLOT
        && let Some(settings) = caller.settings().await?
    {
        user_slot = settings.user_bootloader()?.filter(|user| user.size > 0);
    }
    Ok((greeting, user_slot))
}

/// Writes to `slot`, or by default to the user slot if the camera has one.
async fn write(
    ctx: &Ctx,
    args: &BootloaderArgs,
    turn: &Turn<'_>,
    image: Arc<BootloaderImage>,
    slot: Option<BootloaderSlot>,
) -> anyhow::Result<BootloaderReport> {
    let entered = turn.enter(ctx).await?;
    let (before, user_slot) = entered.talk(greet).await?.map_err(settings_error)?;
    if before.kind != oaktap::bootloader::BootloaderType::Network {
        return Err(Refused(format!("the camera's bootloader has type {}, expected type network", before.kind)).into());
    }
    let has_user_slot = before.version >= Version::HAS_USER_SLOT;
    let slot = slot.unwrap_or(if has_user_slot { BootloaderSlot::User } else { BootloaderSlot::Factory });
    if slot != BootloaderSlot::User {
        confirm_id(&entered.camera.id, slot, &ctx.stop)?;
    }
    let entered = entered.reenter().await?;
    if slot == BootloaderSlot::User {
        let image = Arc::clone(&image);
        let task = async move |caller: Caller| write_user_bootloader(&caller, &image).await;
        entered.talk(task).await?.map_err(flash_error)?;
    } else {
        write_factory_slot(&entered, &image, slot).await?;
    }
    let after = if args.no_wait {
        None
    } else {
        Some(greet_again(&entered, &ctx.stop).await.context("the bootloader was written and verified")?)
    };
    if let (Some(after), Some(expected)) = (&after, image.version())
        && after.version != expected
    {
        let error = anyhow::anyhow!(
            "the image contains bootloader {expected} and was read back intact, but the camera reports {}",
            after.version
        );
        return Err(advised(error, "`oaktap bootloader CAMERA show` shows the slot that it runs from"));
    }
    let written = Some(slot);
    Ok(BootloaderReport { command: ctx.command, label: entered.label, before, user_slot, written, after })
}

/// Boots the image from memory, so that it can overwrite the factory slot.
async fn write_factory_slot(
    entered: &BootloaderCamera,
    image: &Arc<BootloaderImage>,
    slot: BootloaderSlot,
) -> anyhow::Result<()> {
    let in_memory = Arc::clone(image);
    let boot = async move |caller: Caller| boot_from_memory(&caller, &in_memory).await;
    entered.talk(boot).await?.map_err(flash_error)?;
    let entered = entered.reenter().await?;
    let image = Arc::clone(image);
    let task = async move |caller: Caller| {
        if slot == BootloaderSlot::FactoryReset {
            factory_reset(&caller, &image).await
        } else {
            write_factory_bootloader(&caller, &image).await
        }
    };
    entered.talk(task).await?.map_err(|error| {
        if matches!(error, FlashError::Stopped { .. }) {
            return flash_error(error);
        }
        let text = anyhow::anyhow!("{error}");
        advised(
            text,
            "if nothing was written, the camera is unchanged; if writing had begun, keep it powered and run the same command \
             again while `oaktap list` still shows it; after a power cycle it can only be reached over USB (set its boot \
             switch to USB)",
        )
    })
}

/// Asks the user to type the camera's id. `--yes` does not answer this question.
fn confirm_id(id: &str, slot: BootloaderSlot, stop: &Stop) -> anyhow::Result<()> {
    let what = match slot {
        BootloaderSlot::FactoryReset => {
            "This replaces the bootloader of camera {} and erases its settings (also a static address) and its application."
        }
        _ => "This replaces the factory bootloader of camera {}.",
    };
    present::always_say(&what.replace("{}", id));
    present::always_say(
        "For about a minute, the camera can boot from USB only. If it loses power or the network meanwhile, it must be opened",
    );
    present::always_say("and flashed over USB.");
    present::always_say("To continue, type the id of the camera:");
    if answer(stop)?.trim() == id {
        Ok(())
    } else {
        Err(Refused("the typed id does not match; nothing was written".to_owned()).into())
    }
}

fn text(report: &BootloaderReport) -> String {
    let BootloaderReport { label, before, user_slot, written, after, .. } = report;
    let slot = |greeting: &BootloaderInfo| if greeting.user { "the user slot" } else { "the factory slot" };
    let mut text = format!("{label}: bootloader {} ({}) from {}", before.version, before.kind, slot(before));
    if let Some(commit) = &before.commit {
        text.push_str(&format!(", commit {commit}"));
    }
    text.push('\n');
    match user_slot {
        Some(user) => text.push_str(&format!("user slot: {} bytes, checksum {:08x}\n", user.size, user.checksum)),
        None if before.version >= Version::HAS_USER_SLOT => text.push_str("user slot: empty\n"),
        None => text.push_str(&format!("user slot: available from bootloader {} on\n", Version::HAS_USER_SLOT)),
    }
    if before.version < Version::RECOMMENDED && written.is_none() {
        text.push_str(&format!("recommended: {} or newer\n", Version::RECOMMENDED));
    }
    if let Some(written) = written {
        let what = match written {
            BootloaderSlot::User => "written to the user slot",
            BootloaderSlot::Factory => "written to the factory slot",
            BootloaderSlot::FactoryReset => "written to the factory slot; everything else was erased",
        };
        text.push_str(&format!("{what}; read back and verified\n"));
    }
    if let Some(after) = after {
        text.push_str(&format!("now: bootloader {} from {}\n", after.version, slot(after)));
    }
    text
}
