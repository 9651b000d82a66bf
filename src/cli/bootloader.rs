//! `oaktap bootloader`: which bootloader a camera has, and another one for it.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use oaktap::bootloader::config::UserBootloader;
use oaktap::bootloader::{Caller, Greeting, SettingsError, Version};
use oaktap::device::firmware;
use oaktap::flash::{
    BootloaderImage, boot_from_memory, factory_reset, write_factory_bootloader, write_user_bootloader,
};
use serde::Serialize;

use super::camera::runtime;
use super::enter::{EnterArgs, Entered, settings_error};
use super::flash::flash_error;
use super::present::{self, Refused, advised, printable};
use super::{Ctx, Outcome};

#[derive(Args, Debug)]
pub(crate) struct BootloaderArgs {
    #[command(flatten)]
    enter: EnterArgs,

    #[command(subcommand)]
    what: What,

    /// Do not wait until the camera is back
    #[arg(long, global = true)]
    no_wait: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Show version, type and slots
    Show,
    /// Write another bootloader. The user's slot is taken where there is one (0.0.21): the factory slot stays as it is, and
    /// is booted if anything goes wrong
    Update {
        /// The bootloader: a depthai wheel (.whl) that you have, or an image out of it
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
        /// Into the user's slot
        #[arg(long, conflicts_with = "factory")]
        user: bool,
        /// Into the factory slot. A camera that loses power meanwhile is only reached by USB afterwards
        #[arg(long)]
        factory: bool,
    },
    /// Write the factory slot, and erase settings, user's slot and application
    FactoryReset {
        /// The bootloader: a depthai wheel (.whl) that you have, or an image out of it
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
    },
}

/// Where a bootloader is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Slot {
    User,
    Factory,
    FactoryReset,
}

#[derive(Serialize)]
struct Document {
    command: &'static str,
    camera: String,
    #[serde(flatten)]
    before: Greeting,
    /// What is in the user's slot, if the settings say so.
    user_slot: Option<UserBootloader>,
    written: Option<Slot>,
    /// What answered afterwards; `null` when nothing was written, or that was not waited for.
    after: Option<Greeting>,
}

/// Shows or writes.
pub(crate) fn run(ctx: &Ctx, args: &BootloaderArgs) -> anyhow::Result<Outcome> {
    let document = match &args.what {
        What::Show => runtime()?.block_on(show(args))?,
        What::Update { image, user, factory } => {
            let image = open(image)?;
            let slot = if *user { Some(Slot::User) } else { factory.then_some(Slot::Factory) };
            runtime()?.block_on(write(args, image, slot))?
        }
        What::FactoryReset { image } => {
            let image = open(image)?;
            runtime()?.block_on(write(args, image, Some(Slot::FactoryReset)))?
        }
    };
    if ctx.json {
        present::document(&document)?;
    } else {
        present::result(printable(&text(&document)).as_bytes())?;
    }
    Ok(Outcome::Done)
}

/// An image that looks like a bootloader for the network: the file itself, or what a depthai wheel brings along.
fn open(path: &std::path::Path) -> anyhow::Result<Arc<BootloaderImage>> {
    let mut bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if firmware::is_package(&bytes) {
        let (name, image) = firmware::image(&bytes, firmware::NETWORK_BOOTLOADER)
            .with_context(|| format!("looking for a bootloader in {}", path.display()))?;
        let sha256: String = present::sha256(&image);
        present::say(&format!("{name} out of {}: {} bytes, SHA-256 {sha256}", path.display(), image.len()));
        bytes = image;
    }
    let image = BootloaderImage::new(bytes).map_err(|error| {
        let error = Refused(format!("{} is no bootloader for a PoE camera: {error}", path.display()));
        advised(error.into(), "nothing was sent to the camera")
    })?;
    Ok(Arc::new(image))
}

async fn show(args: &BootloaderArgs) -> anyhow::Result<Document> {
    let entered = args.enter.enter("to be asked, a camera enters its bootloader").await?;
    let (before, user_slot) = entered.talk(greet).await?.map_err(settings_error)?;
    let camera = entered.camera.id;
    Ok(Document { command: "bootloader", camera, before, user_slot, written: None, after: None })
}

async fn greet(caller: Caller) -> Result<(Greeting, Option<UserBootloader>), SettingsError> {
    let greeting = caller.greet().await?;
    let mut user_slot = None;
    if greeting.version >= Version::HAS_USER_SLOT
        && let Some(settings) = caller.settings().await?
    {
        user_slot = settings.user_bootloader()?.filter(|user| user.size > 0);
    }
    Ok((greeting, user_slot))
}

/// Into this slot, or into the user's where there is one.
async fn write(args: &BootloaderArgs, image: Arc<BootloaderImage>, slot: Option<Slot>) -> anyhow::Result<Document> {
    let entered = args.enter.enter("writing a bootloader").await?;
    let (before, user_slot) = entered.talk(greet).await?.map_err(settings_error)?;
    if before.kind != oaktap::bootloader::Type::Network {
        return Err(Refused(format!(
            "the camera's bootloader is of type {}; this is one for the network",
            before.kind
        ))
        .into());
    }
    let has_user_slot = before.version >= Version::HAS_USER_SLOT;
    let slot = slot.unwrap_or(if has_user_slot { Slot::User } else { Slot::Factory });
    if slot != Slot::User {
        swear(&entered.camera.id, slot)?;
    }
    let entered = entered.again().await?;
    if slot == Slot::User {
        let image = Arc::clone(&image);
        let task = async move |caller: Caller| write_user_bootloader(&caller, &image).await;
        entered.talk(task).await?.map_err(flash_error)?;
    } else {
        renew(&entered, &image, slot).await?;
    }
    let after =
        if args.no_wait { None } else { Some(entered.again().await?.talk(greet).await?.map_err(settings_error)?.0) };
    if let (Some(after), Some(expected)) = (&after, image.version())
        && after.version != expected
    {
        let error = anyhow::anyhow!(
            "the image is bootloader {expected}, every byte of it was read back, and the camera says that it runs {}",
            after.version
        );
        return Err(advised(error, "`oaktap bootloader CAMERA show` tells which slot it runs from"));
    }
    let written = Some(slot);
    Ok(Document { command: "bootloader", camera: entered.camera.id, before, user_slot, written, after })
}

/// The first slot is written by the new bootloader itself, which runs from memory.
async fn renew(entered: &Entered, image: &Arc<BootloaderImage>, slot: Slot) -> anyhow::Result<()> {
    let in_memory = Arc::clone(image);
    let boot = async move |caller: Caller| boot_from_memory(&caller, &in_memory).await;
    entered.talk(boot).await?.map_err(flash_error)?;
    let entered = entered.again().await?;
    let image = Arc::clone(image);
    let task = async move |caller: Caller| {
        if slot == Slot::FactoryReset {
            factory_reset(&caller, &image).await
        } else {
            write_factory_bootloader(&caller, &image).await
        }
    };
    entered.talk(task).await?.map_err(|error| {
        let text = anyhow::anyhow!("{error}");
        advised(
            text,
            "if nothing was written, the camera is as it was; if writing had begun, do not switch it off: run the same command \
             again while `oaktap list` still shows it. Later it is reached only by USB (set its boot switch to USB)",
        )
    })
}

/// The second question, which `--yes` does not answer.
fn swear(id: &str, slot: Slot) -> anyhow::Result<()> {
    let what = match slot {
        Slot::FactoryReset => {
            "The bootloader of camera {} is replaced, and its settings (a static address too) and its application are erased."
        }
        _ => "The factory bootloader of camera {} is replaced.",
    };
    present::say(&what.replace("{}", id));
    present::say(
        "While that goes on, for about a minute, the camera's boot header points at its USB socket: if it loses power or the",
    );
    present::say("network then, it is not found over the network any more and has to be opened and flashed by USB.");
    present::say("Type the id of the camera to go on:");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() == id {
        Ok(())
    } else {
        Err(Refused("that is not the camera's id; nothing was written".to_owned()).into())
    }
}

fn text(document: &Document) -> String {
    let Document { camera, before, user_slot, written, after, .. } = document;
    let slot = |greeting: &Greeting| if greeting.user { "the user's slot" } else { "the factory slot" };
    let mut text = format!("{camera}: bootloader {} ({}) from {}", before.version, before.kind, slot(before));
    if let Some(commit) = &before.commit {
        text.push_str(&format!(", commit {commit}"));
    }
    text.push('\n');
    match user_slot {
        Some(user) => text.push_str(&format!("user's slot: {} bytes, checksum {:08x}\n", user.size, user.checksum)),
        None if before.version >= Version::HAS_USER_SLOT => text.push_str("user's slot: empty\n"),
        None => text.push_str(&format!("user's slot: there is none before {}\n", Version::HAS_USER_SLOT)),
    }
    if before.version < Version::RECOMMENDED && written.is_none() {
        text.push_str(&format!("{} or newer is recommended\n", Version::RECOMMENDED));
    }
    if let Some(written) = written {
        let what = match written {
            Slot::User => "written to the user's slot",
            Slot::Factory => "written to the factory slot",
            Slot::FactoryReset => "written to the factory slot, and everything else was erased",
        };
        text.push_str(&format!("{what}; read back and compared\n"));
    }
    if let Some(after) = after {
        text.push_str(&format!("now: bootloader {} from {}\n", after.version, slot(after)));
    }
    text
}
