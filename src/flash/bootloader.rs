//! Writes another bootloader into a camera.
//!
//! The first slot ("factory") is booted by the processor. While it is being replaced, the boot header points at USB
//! recovery, so a camera that loses power then is not reachable over the network any more (bootloader.md 8). The second slot
//! ("user") is booted by the first if its checksum is right, and can be replaced without that risk (bootloader.md 3.3).

use std::sync::Arc;

use super::carry_out::carry_out;
use super::error::{FlashError, Phase, configuration, during};
use super::step::{Region, Setting, Step};
use crate::bootloader::config::UserBootloader;
use crate::bootloader::{BootloaderInfo, Caller, ClientError, Memory, Request, RequestData, Version, map};
use crate::package::{MYRIAD_X, djb2};

/// Smaller images are refused. The vendor's bootloader for the network has 3.8 MB, the one for USB 0.8 MB, and with the latter
/// the camera would never answer on the network again.
const IMAGE_BYTES_MIN: usize = 2 << 20;
/// From the bootloader to the end of the application's table: the vendor's factory reset (bootloader.md 6).
const FACTORY_RESET_BYTES: usize = (8 << 20) + 512;
/// Number of times that the first slot is written again in one session.
const RETRIES: u32 = 3;

/// A bootloader for PoE cameras.
#[derive(Clone, Debug)]
pub struct BootloaderImage {
    bytes: Arc<[u8]>,
}

/// Reason for not accepting a file as a bootloader for PoE cameras.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootloaderImageError {
    /// Firmware of another processor, or no firmware.
    #[error("the image begins with \"{found}\", expected \"MA2x\"")]
    Magic {
        /// Its first bytes.
        found: String,
    },
    /// As small as the bootloader for USB.
    #[error(
        "the image has {found} bytes, expected at least {IMAGE_BYTES_MIN}: the bootloader for USB is that small, and with it \
             the camera would not answer on the network"
    )]
    TooSmall {
        /// Its bytes.
        found: usize,
    },
    /// The image has no DHCP client.
    #[error(
        "the image does not contain the text DHCP, so it is not a bootloader for the network: with it the camera would not \
         answer on the network"
    )]
    NoNetwork,
    /// The image does not fit into the slot.
    #[error("the image has {found} bytes, and the slot has room for {room}")]
    TooLarge {
        /// Its bytes.
        found: usize,
        /// Bytes of the slot.
        room: usize,
    },
}

impl BootloaderImage {
    /// Checks what can be checked without booting the image: magic, size, and the text DHCP.
    ///
    /// # Errors
    /// See [`BootloaderImageError`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, BootloaderImageError> {
        let room = map::USER_BOOTLOADER_BYTES as usize;
        if !bytes.starts_with(&MYRIAD_X) {
            let found = bytes[..bytes.len().min(4)].escape_ascii().to_string();
            return Err(BootloaderImageError::Magic { found });
        }
        if bytes.len() < IMAGE_BYTES_MIN {
            return Err(BootloaderImageError::TooSmall { found: bytes.len() });
        }
        if bytes.len() > room {
            return Err(BootloaderImageError::TooLarge { found: bytes.len(), room });
        }
        if memchr::memmem::find(&bytes, b"DHCP").is_none() {
            return Err(BootloaderImageError::NoNetwork);
        }
        Ok(Self { bytes: bytes.into() })
    }

    /// The content of the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The version that the bootloader will report: the first text in it of the form 0.0.x. All known bootloaders have such a
    /// version, and the libraries in them have others.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        let texts = self.bytes.split(|byte| *byte == 0).filter(|text| text.starts_with(b"0.0.") && text.len() < 12);
        texts.filter_map(|text| std::str::from_utf8(text).ok()).find_map(|text| text.parse().ok())
    }

    /// The image, padded so that writing it also erases configuration, second slot and the application's table.
    fn with_factory_reset(&self) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        bytes.resize(FACTORY_RESET_BYTES, map::ERASED);
        bytes
    }
}

/// Writes the second slot, reads it back, and then configures the first slot to boot it.
///
/// # Errors
/// The camera does not have a second slot, refuses, or does not hold what was written. The first slot is unchanged.
pub async fn write_user_bootloader(caller: &Caller, image: &BootloaderImage) -> Result<(), FlashError> {
    let (has, needs) = (greet(caller).await?.version, Version::HAS_USER_SLOT);
    if has < needs {
        let error = ClientError::TooOld { request: "a bootloader in the user's slot", needs, has };
        return Err(FlashError::Camera { phase: Phase::Ask, error });
    }
    let config = caller.settings().await.map_err(configuration(Phase::Ask))?.unwrap_or_default();
    let (region, memory, bytes) = (Region::UserBootloader, Memory::Flash, &image.bytes);
    let slot = UserBootloader { size: u32::try_from(bytes.len()).unwrap_or(u32::MAX), checksum: djb2(bytes) };
    let steps = [
        Step::write(region, memory, memory, RequestData::new(bytes.clone())),
        Step::ReadBack { region, memory, otherwise: None, expected: bytes.clone() },
        Step::Configure { setting: Setting::UserBootloader(Some(slot)), config },
    ];
    carry_out(caller, &steps).await.map(|_| ())
}

/// Boots a bootloader from RAM, which ends the session. The first slot is written by the new bootloader, not by the one that
/// is being replaced (bootloader.md 6).
///
/// # Errors
/// The camera refuses. After the reset it runs the bootloader that is in its flash.
pub async fn boot_from_memory(caller: &Caller, image: &BootloaderImage) -> Result<(), FlashError> {
    greet(caller).await?;
    caller.begin("booting the new bootloader from memory");
    let data = RequestData::new(image.bytes.clone());
    let request = Request::BootMemory { total: data.total(), packets: data.packets() };
    caller.write(request, data).await.map_err(during(Phase::Ask))
}

/// Replaces the first slot and reads it back. Turns a bootloader in the second slot off first, because the camera would boot
/// that one instead.
///
/// # Errors
/// The camera refuses, or does not hold what was written. **Do not reset it then.**
pub async fn write_factory_bootloader(caller: &Caller, image: &BootloaderImage) -> Result<(), FlashError> {
    greet(caller).await?;
    let error = configuration(Phase::Ask);
    if let Some(config) = caller.settings().await.map_err(&error)?
        && config.user_bootloader().map_err(|config| error(config.into()))?.is_some()
    {
        carry_out(caller, &[Step::Configure { setting: Setting::UserBootloader(None), config }]).await?;
    }
    write_factory_slot(caller, RequestData::new(image.bytes.clone()), image).await
}

/// As [`write_factory_bootloader`], and erases configuration, second slot and application.
///
/// # Errors
/// As [`write_factory_bootloader`].
pub async fn factory_reset(caller: &Caller, image: &BootloaderImage) -> Result<(), FlashError> {
    greet(caller).await?;
    write_factory_slot(caller, RequestData::new(image.with_factory_reset()), image).await
}

/// Begins a session. Afterwards the client rejects requests that the bootloader's version does not support.
async fn greet(caller: &Caller) -> Result<BootloaderInfo, FlashError> {
    caller.identify().await.map_err(during(Phase::Ask))
}

/// Writes until the slot holds the image: the bootloader that writes runs from RAM and can write again, but the end of the
/// session is a reset into whatever the slot holds then.
async fn write_factory_slot(caller: &Caller, data: RequestData, image: &BootloaderImage) -> Result<(), FlashError> {
    let (region, memory) = (Region::FactoryBootloader, Memory::Flash);
    let steps = [
        Step::write(region, memory, memory, data),
        Step::ReadBack { region, memory, otherwise: None, expected: image.bytes.clone() },
    ];
    let mut retries = 1..=RETRIES;
    let _hold = caller.hold("the camera could boot over USB only");
    loop {
        match (carry_out(caller, &steps).await, retries.next()) {
            (
                Err(
                    error
                    @ (FlashError::Differs { .. } | FlashError::Camera { error: ClientError::Refused { .. }, .. }),
                ),
                Some(retry),
            ) => caller.begin(format!("{error}; retry {retry} of {RETRIES}")),
            (result, _) => return result.map(|_| ()),
        }
    }
}
