//! Another bootloader into a camera.
//!
//! The first slot ("factory") is what the processor boots; while it is being replaced, the header before it points at the
//! USB socket, so a camera that loses power then is not found over the network again (bootloader.md 8). The second slot
//! ("user") is booted by the first if its checksum is right, and can be replaced without that danger (bootloader.md 3.3).

use super::job::{Phase, during};
use super::{FlashError, read_back};
use crate::bootloader::config::UserBootloader;
use crate::bootloader::{
    BootloaderInfo, Caller, ClientError, Memory, Request, RequestData, SettingsError, Storage, Version, map,
};
use crate::package::{MYRIAD_X, djb2};

/// The vendor's one for the network has 3.8 MB, that for USB 0.8 MB: it would never be heard of again.
const SMALLEST: usize = 2 << 20;
/// From the bootloader to the table of the application, and over it: the vendor's factory reset (bootloader.md 6).
const FACTORY_IMAGE: usize = (8 << 20) + 512;
/// How often the first slot is written again in one session.
const TRIES: u32 = 3;

/// A bootloader for cameras with an Ethernet socket.
#[derive(Clone, Debug)]
pub struct BootloaderImage {
    bytes: Vec<u8>,
}

/// Why something is no bootloader for such a camera.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It is for another processor, or no firmware.
    #[error("it begins with \"{found}\", and a bootloader begins with \"MA2x\"")]
    NoFirmware {
        /// Its first bytes.
        found: String,
    },
    /// It is that for USB.
    #[error(
        "it has {found} bytes, and a bootloader for the network has {SMALLEST} at least: that for USB would put the camera \
             out of the network's reach"
    )]
    Small {
        /// Its bytes.
        found: usize,
    },
    /// It does not know DHCP.
    #[error(
        "it does not mention DHCP anywhere, so it is none for the network: it would put the camera out of its reach"
    )]
    NoNetwork,
    /// It has no room.
    #[error("it has {found} bytes, and there is room for {room}")]
    Large {
        /// Its bytes.
        found: usize,
        /// Bytes that there is room for.
        room: usize,
    },
}

impl BootloaderImage {
    /// Takes bytes that look like one.
    ///
    /// # Errors
    /// They do not.
    pub fn new(bytes: Vec<u8>) -> Result<Self, ImageError> {
        let room = map::USER_BOOTLOADER_BYTES as usize;
        if !bytes.starts_with(&MYRIAD_X) {
            let found = bytes[..bytes.len().min(4)].escape_ascii().to_string();
            return Err(ImageError::NoFirmware { found });
        }
        if bytes.len() < SMALLEST {
            return Err(ImageError::Small { found: bytes.len() });
        }
        if bytes.len() > room {
            return Err(ImageError::Large { found: bytes.len(), room });
        }
        if memchr::memmem::find(&bytes, b"DHCP").is_none() {
            return Err(ImageError::NoNetwork);
        }
        Ok(Self { bytes })
    }

    /// The image.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The version that it will say it is: the first text in it that is one of 0.0.x and nothing else. All that there are
    /// begin so, and the libraries in it have other versions.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        let texts = self.bytes.split(|byte| *byte == 0).filter(|text| text.starts_with(b"0.0.") && text.len() < 12);
        texts.filter_map(|text| std::str::from_utf8(text).ok()).find_map(|text| text.parse().ok())
    }

    /// With everything erased behind it that a camera has learned: configuration, second slot, application.
    fn with_factory_reset(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(FACTORY_IMAGE, map::ERASED);
        bytes
    }
}

/// Writes the second slot, reads it back, and only then tells the first to boot it.
///
/// # Errors
/// The camera has no second slot, refuses, or what is there is not what was written. The first slot is as it was.
pub async fn write_user(caller: &Caller, image: &BootloaderImage) -> Result<(), FlashError> {
    let (has, needs) = (greet(caller).await?.version, Version::HAS_USER_SLOT);
    if has < needs {
        let error = ClientError::TooOld { request: "a bootloader in the user's slot", needs, has };
        return Err(FlashError::Camera { phase: Phase::Ask, error });
    }
    let mut settings = caller.settings().await?.unwrap_or_default();
    caller.begin("writing the user's slot");
    let data = RequestData::new(image.bytes.clone());
    let (memory, offset) = (Memory::Flash, map::USER_BOOTLOADER);
    let request = Request::WriteFlash { memory, offset, total: data.total(), packets: data.packets() };
    caller.write(request, data).await.map_err(during(Phase::Write))?;
    compare(caller, map::USER_BOOTLOADER, &image.bytes).await?;
    caller.begin("telling the camera to boot it");
    let size = u32::try_from(image.bytes.len()).unwrap_or(u32::MAX);
    settings.set_user_bootloader(Some(UserBootloader { size, checksum: djb2(&image.bytes) }));
    caller.store_settings(&settings).await?;
    Ok(())
}

/// Boots a bootloader from memory: the session is over afterwards. What writes the first slot is to be this one, not the
/// one that is being replaced (bootloader.md 6).
///
/// # Errors
/// The camera does not take it. It comes up with the bootloader that it has.
pub async fn boot_from_memory(caller: &Caller, image: &BootloaderImage) -> Result<(), FlashError> {
    greet(caller).await?;
    caller.begin("booting the new bootloader from memory");
    let data = RequestData::new(image.bytes.clone());
    let request = Request::BootMemory { total: data.total(), packets: data.packets() };
    caller.write(request, data).await.map_err(during(Phase::Ask))
}

/// Replaces the first slot, and reads it back. A bootloader in the second slot would be booted instead of it, so that is
/// turned off first.
///
/// # Errors
/// The camera refuses, or what is there is not what was written. **It must not be reset then.**
pub async fn write_factory(caller: &Caller, image: &BootloaderImage) -> Result<(), FlashError> {
    greet(caller).await?;
    let settings = caller.settings().await?;
    if let Some(mut settings) = settings
        && settings.user_bootloader().map_err(SettingsError::from)?.is_some_and(|user| user.size > 0)
    {
        caller.begin("turning the user's slot off");
        settings.set_user_bootloader(None);
        caller.store_settings(&settings).await?;
    }
    write(caller, image.bytes.clone(), &image.bytes).await
}

/// As [`write_factory`], and erases configuration, second slot and application.
///
/// # Errors
/// As [`write_factory`].
pub async fn factory_reset(caller: &Caller, image: &BootloaderImage) -> Result<(), FlashError> {
    greet(caller).await?;
    write(caller, image.with_factory_reset(), &image.bytes).await
}

/// As every session begins: what a version does not know is not asked of it.
async fn greet(caller: &Caller) -> Result<BootloaderInfo, FlashError> {
    caller.identify().await.map_err(during(Phase::Ask))
}

/// Until it is right: what writes runs in memory and can do it again, but the end of the session would be a reset into
/// what is there by then.
async fn write(caller: &Caller, bytes: Vec<u8>, image: &[u8]) -> Result<(), FlashError> {
    let data = RequestData::new(bytes);
    let (total, packets) = (data.total(), data.packets());
    let mut tries = 1..=TRIES;
    loop {
        caller.begin("writing the factory slot: the camera must not lose power now");
        let request = Request::UpdateFlash { storage: Storage::Bootloader, total, packets };
        let written = caller.write(request, data.clone()).await.map_err(during(Phase::Write));
        let proved = match written {
            Ok(()) => compare(caller, map::BOOTLOADER, image).await,
            Err(error) => Err(error),
        };
        match (proved, tries.next()) {
            (
                Err(
                    error
                    @ (FlashError::Differs { .. } | FlashError::Camera { error: ClientError::Refused { .. }, .. }),
                ),
                Some(n),
            ) => {
                caller.begin(format!("try {n} failed, once more: {error}"));
            }
            (proved, _) => return proved,
        }
    }
}

async fn compare(caller: &Caller, offset: u32, image: &[u8]) -> Result<(), FlashError> {
    caller.begin("reading it back");
    let place = |_| "the bootloader".to_owned();
    read_back::compare(caller, Phase::Verify, Memory::Flash, offset, image, place).await
}
