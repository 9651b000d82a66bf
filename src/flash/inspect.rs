//! Reports the content of a package, damaged or not.

use std::io::{self, Read as _};

use serde::Serialize;
use serde_json::Value as Json;

use crate::device::contract::Contract;
use crate::device::schema::{Asset, Link, Pipeline, Port, SchemaError, Script, assets};
use crate::package::{
    APP_NAME, ASSET_STORAGE, ASSETS, Compression, FIRMWARE, FIRMWARE_VERSION, MYRIAD_X, PIPELINE, PackageError,
    Section, SectionTable,
};

/// Decompression stops here: the cameras have 512 MB of memory for everything.
const FIRMWARE_BYTES_MAX: u64 = 512 << 20;

/// The content of a package. Sections that are damaged are `None`.
#[derive(Clone, Debug, Serialize)]
pub struct PackageReport {
    /// Bytes of the file.
    pub bytes: u64,
    /// `true` if nothing is damaged.
    pub whole: bool,
    /// `true` if a camera stores the package: its table and its sections are not damaged.
    pub accepted: bool,
    /// One text per damaged section.
    pub faults: Vec<String>,
    /// Name of the application.
    pub app_name: Option<String>,
    /// The contract of the stream. `None` if the application was not built by oaktap.
    pub contract: Option<Contract>,
    /// Commit or version of the firmware.
    pub firmware_version: Option<String>,
    /// The bootable section.
    pub firmware: Option<FirmwareReport>,
    /// The table.
    pub sections: Vec<SectionReport>,
    /// Bytes between the sections that are not zero. They are harmless, but no known tool writes them.
    pub odd_gap_bytes: u64,
    /// Nodes, links and files of the application.
    pub application: Option<ApplicationReport>,
}

/// An entry of the table.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // Named as in `Section`.
pub struct SectionReport {
    pub index: usize,
    pub name: String,
    pub offset: u32,
    pub size: u32,
    /// In hexadecimal digits, as in the table.
    pub checksum: String,
    pub compression: Compression,
    pub bootable: bool,
    pub checked_at_boot: bool,
    /// The damage, if any.
    pub fault: Option<String>,
}

/// The firmware that a camera boots.
#[derive(Clone, Debug, Serialize)]
pub struct FirmwareReport {
    /// Bytes after decompression; `None` if it cannot be decompressed.
    pub bytes: Option<u64>,
    /// `true` if it begins with the magic of the Myriad X.
    pub myriad_x: bool,
    /// The damage, if any.
    pub fault: Option<String>,
}

/// Nodes, links and files of an application.
#[derive(Clone, Debug, Serialize)]
pub struct ApplicationReport {
    /// The nodes.
    pub nodes: Vec<NodeReport>,
    /// The links.
    pub links: Vec<Link>,
    /// The pipeline's global properties, as an array without names.
    pub global: Json,
    /// The files that its nodes use.
    pub assets: Vec<AssetReport>,
    /// The programs of its Script nodes.
    pub scripts: Vec<ScriptReport>,
    /// Parts that could not be parsed. Other versions of depthai may write them differently.
    pub faults: Vec<String>,
    /// Files that the package lists or needs, but does not hold.
    pub missing: Vec<String>,
}

/// A node.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)] // Named as in `Node`.
pub struct NodeReport {
    pub id: i64,
    pub name: String,
    /// As an array without names.
    pub properties: Json,
    pub ports: Vec<Port>,
}

/// A file that a node uses.
#[derive(Clone, Debug, Serialize)]
pub struct AssetReport {
    /// Key and place.
    #[serde(flatten)]
    pub asset: Asset,
    /// `true` if all of its bytes are inside the storage section.
    pub there: bool,
}

/// The program of a Script node.
#[derive(Clone, Debug, Serialize)]
pub struct ScriptReport {
    /// Node and asset.
    #[serde(flatten)]
    pub script: Script,
    /// The program, if the package has it. Invalid UTF-8 is replaced.
    pub text: Option<String>,
    /// The bytes of the program.
    #[serde(skip)]
    pub program: Option<Vec<u8>>,
}

impl PackageReport {
    /// Returns all damage: one text for each damaged section, for the firmware and for each file that is not there.
    pub fn damage(&self) -> impl Iterator<Item = String> {
        let firmware = self.firmware.as_ref().and_then(|firmware| firmware.fault.as_deref());
        let firmware = firmware.map(|fault| format!("the firmware is unusable: {fault}"));
        let missing = self.application.iter().flat_map(|application| application.missing.iter().cloned());
        self.faults.iter().cloned().chain(firmware).chain(missing)
    }
}

/// Reports everything that is not damaged.
///
/// # Errors
/// The file does not begin with a table.
pub fn inspect(file: &[u8]) -> Result<PackageReport, PackageError> {
    let table = SectionTable::parse(file)?;
    let faults = table.faults(file);
    let fault = |section: &Section| faults.iter().find(|fault| fault.section() == Some(section.index()));
    let whole = |name: &str| {
        let section = table.section(name).filter(|section| fault(section).is_none())?;
        section.stored_in(file)
    };
    let filled = |name: &str| whole(name).filter(|bytes| !bytes.is_empty());
    let text = |name: &str| whole(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let sections = table.sections().iter().map(|section| SectionReport {
        index: section.index(),
        name: section.name().to_owned(),
        offset: section.offset(),
        size: section.size(),
        checksum: format!("{:08x}", section.checksum()),
        compression: section.compression(),
        bootable: section.is_bootable(),
        checked_at_boot: section.is_bootable() && !section.ignores_checksum(),
        fault: fault(section).map(ToString::to_string),
    });
    let app_name = text(APP_NAME);
    let booted = table.sections().iter().find(|section| section.is_bootable()).or_else(|| table.section(FIRMWARE));
    let firmware = booted.filter(|section| fault(section).is_none()).and_then(|section| self::firmware(section, file));
    let application = filled(PIPELINE).map(|pipeline| application(pipeline, filled(ASSETS), whole(ASSET_STORAGE)));
    let boots = firmware.as_ref().is_some_and(|firmware| firmware.fault.is_none());
    let complete = application.as_ref().is_none_or(|application| application.missing.is_empty());
    Ok(PackageReport {
        bytes: file.len() as u64,
        whole: faults.is_empty() && boots && complete,
        accepted: faults.is_empty(),
        contract: app_name.as_deref().and_then(|name| name.parse().ok()),
        app_name,
        firmware_version: text(FIRMWARE_VERSION),
        firmware,
        sections: sections.collect(),
        odd_gap_bytes: table.gap_bytes(file),
        application,
        faults: faults.iter().map(ToString::to_string).collect(),
    })
}

fn firmware(section: &Section, file: &[u8]) -> Option<FirmwareReport> {
    let stored = section.stored_in(file)?;
    let Some(mut content) = section.content(stored) else {
        let fault = "xz compression is not supported".to_owned();
        return Some(FirmwareReport { bytes: None, myriad_x: false, fault: Some(fault) });
    };
    let mut magic = [0; 4];
    let read = content.read_exact(&mut magic);
    let read = read.and_then(|()| io::copy(&mut content.take(FIRMWARE_BYTES_MAX), &mut io::sink()));
    let myriad_x = magic == MYRIAD_X;
    let (bytes, fault) = match read {
        Ok(FIRMWARE_BYTES_MAX) => (None, Some(format!("decompresses to more than {FIRMWARE_BYTES_MAX} bytes"))),
        Ok(rest) if myriad_x => (Some(rest + 4), None),
        Ok(rest) => {
            let found = magic.escape_ascii();
            (Some(rest + 4), Some(format!("begins with \"{found}\", expected \"MA2x\" (RVC2 cameras)")))
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => (None, Some("cut off".to_owned())),
        Err(error) => (None, Some(format!("cannot be decompressed: {error}"))),
    };
    Some(FirmwareReport { bytes, myriad_x, fault })
}

fn application(pipeline: &[u8], assets_section: Option<&[u8]>, storage: Option<&[u8]>) -> ApplicationReport {
    let (mut faults, mut missing) = (Vec::new(), Vec::new());
    let files = match assets_section {
        Some(section) => or_fault(ASSETS, assets(section), &mut faults).unwrap_or_default(),
        None => Vec::new(),
    };
    let stored = |asset: &Asset| storage.and_then(|storage| asset.stored_in(storage));
    let (mut nodes, mut links, mut global, mut scripts) = (Vec::new(), Vec::new(), Json::Null, Vec::new());
    if let Some(pipeline) = or_fault(PIPELINE, Pipeline::parse(pipeline), &mut faults) {
        for script in or_fault(PIPELINE, pipeline.scripts(), &mut faults).unwrap_or_default() {
            let asset = files.iter().find(|asset| Some(&asset.key) == script.asset.as_ref());
            let program = asset.and_then(stored).map(<[u8]>::to_vec);
            if program.is_none() {
                missing.push(format!("the program of Script {} is not in the package", script.node));
            }
            let text = program.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            scripts.push(ScriptReport { script, text, program });
        }
        global = pipeline.global.to_json();
        links = pipeline.links;
        nodes.extend(pipeline.nodes.into_iter().map(|node| NodeReport {
            id: node.id,
            properties: node.properties.to_json(),
            name: node.name,
            ports: node.ports,
        }));
    }
    let assets: Vec<_> =
        files.into_iter().map(|asset| AssetReport { there: stored(&asset).is_some(), asset }).collect();
    for AssetReport { asset, .. } in assets.iter().filter(|asset| storage.is_some() && !asset.there) {
        let Asset { key, offset, size } = asset;
        missing.push(format!(
            "asset `{key}` ({size} bytes at offset {offset}) does not fit into section `{ASSET_STORAGE}`"
        ));
    }
    ApplicationReport { nodes, links, global, assets, scripts, faults, missing }
}

fn or_fault<T>(section: &str, result: Result<T, SchemaError>, faults: &mut Vec<String>) -> Option<T> {
    result
        .map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            faults.push(format!("section `{section}`: {error}{cause}"));
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::PackageBuilder;

    /// One Script without ports. Its program is in `storage`.
    fn package(storage: &[u8]) -> Vec<u8> {
        let script = [&[0xb9, 3, 0xbd, 14][..], b"asset:__script", &[0xbd, 0, 0]].concat();
        let node = [
            &[0xb9, 4, 7, 0xbd, 6][..],
            b"Script",
            &[0xbc, script.len() as u8],
            &script,
            // No ports.
            &[0xbb, 0],
        ];
        let pipeline = [&[0xb9, 3, 0xba, 0, 0xbe, 0xbb, 1, 7], &node.concat()[..]].concat();
        let assets = [&[0xb9, 1, 0xbb, 1, 0xbd, 16][..], b"/node/7/__script", &[0xb9, 3, 2, 5, 64]].concat();
        PackageBuilder::new(b"MA2x and more".to_vec())
            .pipeline(pipeline)
            .assets(assets)
            .asset_storage(storage)
            .firmware_version("abc")
            .app_name("door")
            .compressed()
            .build()
            .expect("a package")
    }

    #[test]
    fn whole_package_is_reported_in_full() {
        let report = inspect(&package(b"..print")).unwrap();
        assert!(report.whole && report.faults.is_empty());
        assert_eq!((report.app_name.as_deref(), report.firmware_version.as_deref()), (Some("door"), Some("abc")));
        let firmware = report.firmware.unwrap();
        assert_eq!((firmware.bytes, firmware.myriad_x, firmware.fault), (Some(13), true, None));
        let application = report.application.unwrap();
        assert_eq!(application.faults, [""; 0]);
        assert_eq!((application.nodes[0].id, application.nodes[0].name.as_str()), (7, "Script"));
        assert_eq!(application.scripts[0].text.as_deref(), Some("print"));
        assert!(application.assets[0].there);
        assert!(report.sections[0].bootable && !report.sections[0].checked_at_boot);
    }

    #[test]
    fn undamaged_sections_of_a_damaged_package_are_reported() {
        let mut bytes = package(b"..print");
        // The first byte of the section `assets`.
        bytes[(1 << 20) + (1 << 16)] ^= 1;
        let report = inspect(&bytes).unwrap();
        assert!(!report.whole);
        assert!(report.faults[0].starts_with("section 2 `assets` "), "{:?}", report.faults);
        assert_eq!(report.sections.iter().filter(|section| section.fault.is_some()).count(), 1);
        let application = report.application.unwrap();
        assert_eq!(application.nodes.len(), 1);
        assert_eq!(application.missing, ["the program of Script 7 is not in the package"]);
        assert_eq!(report.app_name.as_deref(), Some("door"));
    }

    #[test]
    fn wrong_content_with_right_checksums_is_reported() {
        let report = inspect(&package(b"..pri")).unwrap();
        assert!(report.accepted && !report.whole);
        assert_eq!(
            report.application.unwrap().missing,
            [
                "the program of Script 7 is not in the package",
                "asset `/node/7/__script` (5 bytes at offset 2) does not fit into section `asset_storage`"
            ]
        );
        let firmware = |bytes: &[u8], flags| {
            let package = PackageBuilder::new(b"MA2x".to_vec()).section("more", bytes, flags);
            let mut package = package.build().expect("a package");
            // The first section is not bootable any more.
            package[2 + 29] = 0;
            inspect(&package).expect("a package").firmware.expect("a firmware")
        };
        assert_eq!(firmware(b"KMB.more", 1).fault.unwrap(), "begins with \"KMB.\", expected \"MA2x\" (RVC2 cameras)");
        assert_eq!(firmware(b"MA", 1).fault.unwrap(), "cut off");
        assert_eq!(firmware(b"MA2x", 1 | 3 << 2).fault.unwrap(), "xz compression is not supported");
        let unknown = PackageBuilder::new(b"MA2x".to_vec()).pipeline(b"{}").build().unwrap();
        assert_eq!(
            inspect(&unknown).unwrap().application.unwrap().faults[0],
            "section `pipeline`: the section is not valid libnop: 1 bytes follow the value, which ends at byte 1"
        );
    }
}
