//! The bootloader's checks of an application: when it is flashed, queried or booted. The error texts are those of the
//! camera's bootloader (bootloader.md 8).

use super::memory::MemoryChip;
use crate::package::{TABLE_BYTES, djb2};

/// Number of entries in the section table (bootloader.md 5), and bytes of each.
const ENTRIES: usize = 17;
const ENTRY_BYTES: usize = 30;

const CANNOT_PARSE: &str = "Error parsing SBR structure";
const NOT_BOOTABLE: &str = "SBR must specify at least one bootable section";

/// One entry of the section table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Section {
    index: usize,
    name: String,
    size: u32,
    /// From the start of the table.
    offset: u32,
    checksum: u32,
    bootable: bool,
    ignore_checksum: bool,
}

/// Details of an application in flash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    pub(super) firmware_version: Option<String>,
    pub(super) name: Option<String>,
}

fn sections(table: &[u8]) -> Result<Vec<Section>, &'static str> {
    if table.len() < TABLE_BYTES || !table.starts_with(b"BR") {
        return Err(CANNOT_PARSE);
    }
    let mut sections = Vec::new();
    for (index, entry) in table[2..].chunks_exact(ENTRY_BYTES).take(ENTRIES).enumerate() {
        if matches!(entry[0], 0 | 0xFF) {
            continue;
        }
        let word = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        let name = entry[..16].split(|byte| *byte == 0).next().unwrap_or_default();
        sections.push(Section {
            index,
            name: String::from_utf8_lossy(name).into_owned(),
            size: word(16),
            offset: word(20),
            checksum: word(24),
            bootable: entry[29] & 1 != 0,
            ignore_checksum: entry[29] & 2 != 0,
        });
    }
    Ok(sections)
}

/// Checks an image before it is flashed as an application. Verifies the checksum of every section, regardless of its
/// flags.
pub(super) fn accept(image: &[u8]) -> Result<(), String> {
    if image.len() < TABLE_BYTES {
        return Err("Size too small".to_owned());
    }
    let sections = sections(&image[..TABLE_BYTES])?;
    if !sections.iter().any(|section| section.bootable) {
        return Err(NOT_BOOTABLE.to_owned());
    }
    for section in sections {
        let start = section.offset as usize;
        let stored = start.checked_add(section.size as usize).and_then(|end| image.get(start..end));
        let stored = stored.ok_or(CANNOT_PARSE)?;
        if djb2(stored) != section.checksum {
            return Err(format!("Sbr section index: {} checksum mismatch", section.index));
        }
    }
    Ok(())
}

fn flashed(memory: &mut MemoryChip, at: u64) -> Result<Vec<Section>, &'static str> {
    let table = memory.read(at, TABLE_BYTES).map_err(|_| CANNOT_PARSE)?;
    sections(&table)
}

fn text(memory: &mut MemoryChip, at: u64, section: &Section, most: usize) -> Option<String> {
    let len = (section.size as usize).min(most);
    let bytes = memory.read(at + u64::from(section.offset), len).ok()?;
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// Returns the details of the application at `at`, if there is one.
pub(super) fn details(memory: &mut MemoryChip, at: u64) -> Option<Details> {
    let sections = flashed(memory, at).ok()?;
    if !sections.iter().any(|section| section.bootable) {
        return None;
    }
    // The fields of the response hold 256 and 4096 bytes including the NUL (bootloader.md 3.2).
    let mut text_of = |name: &str, most| {
        sections.iter().find(|section| section.name == name).and_then(|section| text(memory, at, section, most))
    };
    Some(Details { firmware_version: text_of("__fw_version", 255), name: text_of("app_name", 4095) })
}

/// Checks that the application at `at` can be booted.
pub(super) fn boot(memory: &mut MemoryChip, at: u64) -> Result<(), String> {
    let sections = flashed(memory, at)?;
    let section = sections.iter().find(|section| section.bootable).ok_or(NOT_BOOTABLE)?;
    if section.ignore_checksum {
        return Ok(());
    }
    // `read` checks the size against the memory before it allocates, because the table may be corrupt.
    let stored = memory.read(at + u64::from(section.offset), section.size as usize).map_err(|_| CANNOT_PARSE)?;
    if djb2(&stored) == section.checksum {
        Ok(())
    } else {
        Err("Section is not okay to boot (checksum doesn't match)".to_owned())
    }
}

/// Builds the smallest bootable package, for a simulated camera that starts with an application. Its firmware is a line of
/// text.
pub(super) fn stand_in() -> Vec<u8> {
    let parts: [(&str, &[u8], u8); 3] = [
        ("__firmware", b"MA2x simulated firmware", 1),
        ("__fw_version", b"0000000000000000000000000000000000000000", 0),
        ("app_name", b"simulated", 0),
    ];
    let mut image = vec![0; TABLE_BYTES];
    image[..2].copy_from_slice(b"BR");
    for (i, (name, bytes, flags)) in parts.into_iter().enumerate() {
        let offset = image.len();
        let entry = &mut image[2 + ENTRY_BYTES * i..][..ENTRY_BYTES];
        entry[..name.len()].copy_from_slice(name.as_bytes());
        for (at, word) in [(16, bytes.len() as u32), (20, offset as u32), (24, djb2(bytes))] {
            entry[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        entry[29] = flags;
        image.extend_from_slice(bytes);
    }
    image
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemorySpec;
    use super::*;

    const AT: u64 = 0x80_0000;

    fn memory(image: &[u8]) -> MemoryChip {
        let mut memory = MemoryChip::nor(&MemorySpec::of_size(16 << 20), 0).expect("a memory");
        memory.write(AT, image).expect("it fits");
        memory
    }

    #[test]
    fn whole_package_is_accepted_described_and_booted() {
        let image = stand_in();
        accept(&image).expect("a whole package");
        let mut memory = memory(&image);
        let details = details(&mut memory, AT).expect("an application");
        assert_eq!(details.name.as_deref(), Some("simulated"));
        assert_eq!(details.firmware_version.as_deref(), Some(&*"0".repeat(40)));
        boot(&mut memory, AT).expect("it boots");
    }

    #[test]
    fn damaged_packages_are_refused_with_the_texts_of_the_camera() {
        let whole = stand_in();
        let damaged = |damage: &dyn Fn(&mut Vec<u8>)| {
            let mut image = whole.clone();
            damage(&mut image);
            image
        };
        for (image, expected) in [
            (damaged(&|image| image.truncate(511)), "Size too small"),
            (damaged(&|image| image[0] = b'X'), CANNOT_PARSE),
            (damaged(&|image| image.truncate(whole.len() - 1)), CANNOT_PARSE),
            (damaged(&|image| image[2 + 29] = 0), NOT_BOOTABLE),
            (damaged(&|image| image[513] ^= 1), "Sbr section index: 0 checksum mismatch"),
            (damaged(&|image| *image.last_mut().expect("bytes") ^= 1), "Sbr section index: 2 checksum mismatch"),
            // The flag skips the checksum when booting, but not when flashing.
            (
                damaged(&|image| {
                    image[2 + 29] = 3;
                    image[513] ^= 1;
                }),
                "Sbr section index: 0 checksum mismatch",
            ),
            (damaged(&|image| image[2 + 20..2 + 24].fill(0xFF)), CANNOT_PARSE),
        ] {
            assert_eq!(accept(&image), Err(expected.to_owned()));
        }
    }

    #[test]
    fn only_the_firmware_checksum_prevents_booting() {
        let mut image = stand_in();
        *image.last_mut().expect("bytes") ^= 1;
        boot(&mut memory(&image), AT).expect("it boots despite a wrong name");
        image[513] ^= 1;
        let error = boot(&mut memory(&image), AT).expect_err("its firmware is wrong");
        assert_eq!(error, "Section is not okay to boot (checksum doesn't match)");
        image[2 + 29] = 3;
        boot(&mut memory(&image), AT).expect("the flag skips its checksum");
        let mut cleared = memory(&image);
        cleared.erase(AT, 512).expect("inside");
        assert_eq!((boot(&mut cleared, AT), details(&mut cleared, AT)), (Err(CANNOT_PARSE.to_owned()), None));
        let mut short = MemoryChip::nor(&MemorySpec::of_size(4 << 20), 0).expect("a memory");
        assert_eq!((boot(&mut short, AT), details(&mut short, AT)), (Err(CANNOT_PARSE.to_owned()), None));
    }
}
