//! What a camera boots: the firmware of the Myriad X.

use super::{Firmware, FirmwareError, MOST_IMAGE, OpenVino, images, patch, preboot};

/// What the names of device firmware begin with, in the package.
const PREFIX: &str = "depthai-device-openvino-";
/// The one that is there as it is, and how its name goes on.
const UNIVERSAL: &str = "universal-";
/// The oldest version of OpenVINO whose models it runs; a patch makes the firmware for each older one (bootloader.md 5.1).
const UNIVERSAL_FROM: OpenVino = OpenVino::new(2021, 4);

/// A firmware that applications can be built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The version of depthai that it comes with.
    pub version: &'static str,
    /// Its commit.
    pub commit: &'static str,
}

/// The firmware that the tables of nodes were compared with (`tests/vendor_apps.rs`). The first is the one to be had.
///
/// 2.28 and older write one property less for a colour camera.
pub const KNOWN: [Known; 6] = [
    Known { version: "2.30.0.0", commit: "a62b2ccb0bc493c2fb41694cb81c08887be24c52" },
    Known { version: "2.29.0.0", commit: "4d360b5c56225f23e9a3d3a3999ce46c90cfdeaf" },
    Known { version: "2.31.0.0", commit: "f6083e8ec0afa948497100b39ec967a901ad57c4" },
    Known { version: "2.31.1.0", commit: "393e4f64252329c13741f696de6863234c117768" },
    Known { version: "2.32.0.0", commit: "0f6d2cc12723f414dce437d438d124f340f5789b" },
    Known { version: "2.33.0.0", commit: "6632d3a2dbdfbede61251ad5a448a8faa8dc18b9" },
];

/// The firmware of a wheel or an extension module, for models of all versions.
#[derive(Clone, Debug)]
pub struct DeviceImages {
    commit: String,
    universal: Vec<u8>,
    /// By their names.
    patches: Vec<(String, Vec<u8>)>,
}

impl DeviceImages {
    /// Takes it out of a wheel or an extension module of depthai.
    ///
    /// # Errors
    /// It is none of them, or damaged, or its firmware is not one of [`KNOWN`].
    pub fn find(file: &[u8]) -> Result<Self, FirmwareError> {
        let mut files = images(file, PREFIX)?;
        let commit =
            |name: &str| Some(name.strip_prefix(PREFIX)?.strip_prefix(UNIVERSAL)?.strip_suffix(".cmd")?.to_owned());
        let Some((at, found)) = files.iter().enumerate().find_map(|(at, (name, _))| Some((at, commit(name)?))) else {
            let found = files.into_iter().map(|(name, _)| name).collect();
            return Err(FirmwareError::NotThere { wanted: format!("{PREFIX}{UNIVERSAL}"), streams: 1, found });
        };
        if KNOWN.iter().all(|known| known.commit != found) {
            return Err(FirmwareError::UnknownCommit { found });
        }
        let (_, universal) = files.swap_remove(at);
        Ok(Self { commit: found, universal, patches: files })
    }

    /// What runs models of this version of OpenVINO, as it stands in a package; `None` without a model.
    ///
    /// # Errors
    /// There is none for that version, or it is damaged.
    pub fn firmware(&self, openvino: Option<OpenVino>) -> Result<Firmware, FirmwareError> {
        let mut image = preboot::header();
        match openvino {
            Some(wanted) if !OpenVino::KNOWN.contains(&wanted) => return Err(FirmwareError::NoOpenVino { wanted }),
            Some(wanted) if wanted < UNIVERSAL_FROM => {
                let begins = format!("{PREFIX}{wanted}-");
                let patch = self.patches.iter().find(|(name, _)| name.starts_with(&begins));
                let (name, bytes) = patch.ok_or(FirmwareError::NoOpenVino { wanted })?;
                let patched = patch::apply(bytes, &self.universal, MOST_IMAGE as usize);
                image.extend(patched.map_err(|source| FirmwareError::Patch { name: name.clone(), source })?);
            }
            _ => image.extend(&self.universal),
        }
        Ok(Firmware { image, commit: self.commit.clone() })
    }
}

/// The firmware of a wheel or an extension module for models of this version of OpenVINO, as it stands in a package; `None`
/// without a model.
///
/// # Errors
/// It is none of them, or damaged, or its firmware is not one of [`KNOWN`].
pub fn device(file: &[u8], openvino: Option<OpenVino>) -> Result<Firmware, FirmwareError> {
    DeviceImages::find(file)?.firmware(openvino)
}

/// One for simulated cameras, which look at its first bytes alone: there is nothing in it that could boot.
#[must_use]
pub fn stand_in() -> Firmware {
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
    fn models_of_older_versions_get_a_patched_one() {
        let images = DeviceImages::find(&module(KNOWN[1].commit)).expect("it is known");
        let (header, firmware) = (preboot::header(), |version| images.firmware(version));
        for version in [None, Some(OpenVino::new(2021, 4)), Some(OpenVino::new(2022, 1))] {
            let found = firmware(version).expect("it is there");
            assert_eq!(found.image, [&header, b"MA2x firmware".as_slice()].concat());
            assert_eq!(found.commit, KNOWN[1].commit);
        }
        let patched = device(&module(KNOWN[0].commit), Some(OpenVino::new(2021, 3))).expect("it is there");
        assert_eq!(patched.image, [&header, b"MA2x2021".as_slice()].concat());
        assert!(matches!(firmware(Some(OpenVino::new(2023, 0))), Err(FirmwareError::NoOpenVino { .. })));
        let error = |version| firmware(Some(version)).expect_err("it is not there").to_string();
        assert_eq!(
            error(OpenVino::new(2020, 4)),
            "there is no firmware for models of OpenVINO 2020.4 in it: compile the model for 2022.1 or 2021.4"
        );
        assert!(error(OpenVino::new(2021, 2)).ends_with("cannot be applied"), "{}", error(OpenVino::new(2021, 2)));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let error = |module: &[u8]| device(module, None).expect_err("it is refused").to_string();
        let told = error(&module("0123abcd"));
        assert!(told.starts_with("the device firmware in it has the commit 0123abcd; how its nodes are set"), "{told}");
        assert!(KNOWN.iter().all(|known| told.contains(known.version)), "{told}");
        assert!(told.ends_with("`pip download --no-deps depthai==2.30.0.0`"), "{told}");
        let patches = [b"\x7fELF".as_slice(), &stream(&[("depthai-device-openvino-2021.3-abc.patch", b"x")])].concat();
        assert!(error(&patches).starts_with("there is no `depthai-device-openvino-universal-` in it; 1 archives"));
        assert!(stand_in().image.starts_with(b"MA2x simulated"));
    }
}
