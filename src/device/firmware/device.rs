//! The device firmware for the Myriad X.

use super::{Firmware, FirmwareError, IMAGE_BYTES_MAX, OpenVino, images, patch, preboot};

/// Begins the file names of device firmware.
const PREFIX: &str = "depthai-device-openvino-";
/// Follows [`PREFIX`] in the name of the complete image; the other files are patches for it.
const UNIVERSAL: &str = "universal-";
/// Oldest version of OpenVINO whose models the complete image runs. Each older one has a patch (bootloader.md 5.1).
const UNIVERSAL_FROM: OpenVino = OpenVino::new(2021, 4);

/// A firmware for which applications can be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownFirmware {
    /// The version of depthai that contains it.
    pub version: &'static str,
    /// Commit of the firmware.
    pub commit: &'static str,
}

/// Every firmware that the properties of [`nodes`](crate::device::nodes) were compared with (`tests/vendor_apps.rs`). The
/// first is the recommended one. 2.28 and older have one property less for a color camera.
pub const KNOWN_FIRMWARE: [KnownFirmware; 6] = [
    KnownFirmware { version: "2.30.0.0", commit: "a62b2ccb0bc493c2fb41694cb81c08887be24c52" },
    KnownFirmware { version: "2.29.0.0", commit: "4d360b5c56225f23e9a3d3a3999ce46c90cfdeaf" },
    KnownFirmware { version: "2.31.0.0", commit: "f6083e8ec0afa948497100b39ec967a901ad57c4" },
    KnownFirmware { version: "2.31.1.0", commit: "393e4f64252329c13741f696de6863234c117768" },
    KnownFirmware { version: "2.32.0.0", commit: "0f6d2cc12723f414dce437d438d124f340f5789b" },
    KnownFirmware { version: "2.33.0.0", commit: "6632d3a2dbdfbede61251ad5a448a8faa8dc18b9" },
];

/// The device firmware of a wheel or an extension module.
#[derive(Clone, Debug)]
pub struct DeviceImages {
    commit: String,
    universal: Vec<u8>,
    /// File names and patches for models of older versions of OpenVINO.
    patches: Vec<(String, Vec<u8>)>,
}

impl DeviceImages {
    /// Extracts the images from a wheel or an extension module of depthai.
    ///
    /// # Errors
    /// `file` is neither, is damaged, or its firmware is not one of [`KNOWN_FIRMWARE`].
    pub fn find(file: &[u8]) -> Result<Self, FirmwareError> {
        let mut files = images(file, PREFIX)?;
        let commit =
            |name: &str| Some(name.strip_prefix(PREFIX)?.strip_prefix(UNIVERSAL)?.strip_suffix(".cmd")?.to_owned());
        let Some((at, found)) = files.iter().enumerate().find_map(|(at, (name, _))| Some((at, commit(name)?))) else {
            let found = files.into_iter().map(|(name, _)| name).collect();
            return Err(FirmwareError::NotFound { wanted: format!("{PREFIX}{UNIVERSAL}"), streams: 1, found });
        };
        if KNOWN_FIRMWARE.iter().all(|known| known.commit != found) {
            return Err(FirmwareError::UnknownCommit { found });
        }
        let (_, universal) = files.swap_remove(at);
        Ok(Self { commit: found, universal, patches: files })
    }

    /// Returns the firmware section for models of this version of OpenVINO; `None` without a model.
    ///
    /// # Errors
    /// The package has no firmware for that version, or a damaged one.
    pub fn firmware(&self, openvino: Option<OpenVino>) -> Result<Firmware, FirmwareError> {
        let mut image = preboot::header();
        match openvino {
            Some(wanted) if !OpenVino::KNOWN.contains(&wanted) => return Err(FirmwareError::NoOpenVino { wanted }),
            Some(wanted) if wanted < UNIVERSAL_FROM => {
                let begins = format!("{PREFIX}{wanted}-");
                let patch = self.patches.iter().find(|(name, _)| name.starts_with(&begins));
                let (name, bytes) = patch.ok_or(FirmwareError::NoOpenVino { wanted })?;
                let patched = patch::apply(bytes, &self.universal, IMAGE_BYTES_MAX as usize);
                image.extend(patched.map_err(|source| FirmwareError::Patch { name: name.clone(), source })?);
            }
            _ => image.extend(&self.universal),
        }
        Ok(Firmware { image, commit: self.commit.clone() })
    }
}

/// [`DeviceImages::find`] and [`DeviceImages::firmware`] in one call.
///
/// # Errors
/// Those of both.
pub fn device_firmware(file: &[u8], openvino: Option<OpenVino>) -> Result<Firmware, FirmwareError> {
    DeviceImages::find(file)?.firmware(openvino)
}

/// A firmware section for simulated cameras, which check only its magic. Real cameras cannot boot it.
#[must_use]
pub fn simulated_firmware() -> Firmware {
    Firmware { image: b"MA2x simulated: there is no firmware in this package".to_vec(), commit: "simulated".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::patch::tests::patch;
    use super::super::tests::stream;
    use super::*;

    fn module(commit: &str) -> Vec<u8> {
        let name = |of: &str| format!("{PREFIX}{of}-{commit}");
        let newer = patch(&[[4, 4, 0]], &[0; 4], b"2021", 8);
        let files = [
            (name("2021.3") + ".patch", newer),
            (name("universal") + ".cmd", b"MA2x firmware".to_vec()),
            (name("2021.2") + ".patch", b"nothing".to_vec()),
        ];
        let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        [b"\x7fELF".as_slice(), &stream(&files)].concat()
    }

    #[test]
    fn models_of_older_versions_get_patched_firmware() {
        let images = DeviceImages::find(&module(KNOWN_FIRMWARE[1].commit)).expect("it is known");
        let (header, firmware) = (preboot::header(), |version| images.firmware(version));
        for version in [None, Some(OpenVino::new(2021, 4)), Some(OpenVino::new(2022, 1))] {
            let found = firmware(version).expect("it is there");
            assert_eq!(found.image, [&header, b"MA2x firmware".as_slice()].concat());
            assert_eq!(found.commit, KNOWN_FIRMWARE[1].commit);
        }
        let patched =
            device_firmware(&module(KNOWN_FIRMWARE[0].commit), Some(OpenVino::new(2021, 3))).expect("it is there");
        assert_eq!(patched.image, [&header, b"MA2x2021".as_slice()].concat());
        assert!(matches!(firmware(Some(OpenVino::new(2023, 0))), Err(FirmwareError::NoOpenVino { .. })));
        let error = |version| firmware(Some(version)).expect_err("it is not there").to_string();
        assert_eq!(
            error(OpenVino::new(2020, 4)),
            "no firmware for models of OpenVINO 2020.4: compile the model for 2022.1 or 2021.4"
        );
        assert!(error(OpenVino::new(2021, 2)).ends_with("cannot be applied"), "{}", error(OpenVino::new(2021, 2)));
    }

    #[test]
    fn unknown_firmware_is_rejected() {
        let error = |module: &[u8]| device_firmware(module, None).expect_err("it is refused").to_string();
        let text = error(&module("0123abcd"));
        assert!(text.starts_with("unknown device firmware (commit 0123abcd): expected that of depthai"), "{text}");
        assert!(KNOWN_FIRMWARE.iter().all(|known| text.contains(known.version)), "{text}");
        assert!(text.ends_with("`pip download --no-deps depthai==2.30.0.0`"), "{text}");
        let patches = [b"\x7fELF".as_slice(), &stream(&[("depthai-device-openvino-2021.3-abc.patch", b"x")])].concat();
        assert!(error(&patches).starts_with("`depthai-device-openvino-universal-` was not found in 1 archives"));
        assert!(simulated_firmware().image.starts_with(b"MA2x simulated"));
    }
}
