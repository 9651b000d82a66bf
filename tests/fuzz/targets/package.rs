//! Application packages: accepted ones match their table, and others give an error without a panic.
#![no_main]

use std::io::Read as _;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use oaktap::flash::inspect::inspect;
use oaktap::package::{Package, PackageBuilder, SectionTable, TABLE_BYTES, djb2};
use oaktap_fuzz::memory;

#[derive(Arbitrary, Debug)]
struct Entry {
    name: [u8; 3],
    /// After the previous section, if small.
    gap: u16,
    size: u16,
    flags: u8,
    wrong: bool,
}

#[derive(Arbitrary, Debug)]
struct Made {
    entries: Vec<Entry>,
    body: Vec<u8>,
    change: Option<(u16, u8)>,
}

impl Made {
    /// A table that usually fits the body.
    fn file(&self) -> Vec<u8> {
        let mut file = [b"BR".as_slice(), &[0; TABLE_BYTES - 2], &self.body].concat();
        let mut at = TABLE_BYTES;
        for (index, entry) in self.entries.iter().take(17).enumerate() {
            let start = (at + usize::from(entry.gap % 16)).min(file.len());
            let end = (start + usize::from(entry.size)).min(file.len());
            at = end;
            let sum = djb2(&file[start..end]) ^ u32::from(entry.wrong && index % 4 == 0);
            let place = &mut file[2 + 30 * index..][..30];
            place[..3].copy_from_slice(&entry.name);
            place[16..20].copy_from_slice(&((end - start) as u32).to_le_bytes());
            place[20..24].copy_from_slice(&(start as u32).to_le_bytes());
            place[24..28].copy_from_slice(&sum.to_le_bytes());
            place[29] = entry.flags;
        }
        file.truncate(at.max(TABLE_BYTES));
        if let Some((at, with)) = self.change {
            let at = usize::from(at) % file.len();
            file[at] ^= with;
        }
        file
    }
}

/// Inputs that begin with `BR` are packages; all others generate one.
fn read(input: &[u8]) -> arbitrary::Result<Vec<u8>> {
    if input.starts_with(b"BR") {
        return Ok(input.to_vec());
    }
    Ok(Made::arbitrary_take_rest(Unstructured::new(input))?.file())
}

fn check(file: &[u8]) {
    let (parsed, held) = memory::peak(|| Package::parse(file));
    // A copy of the input, the names in errors, and one decompressor with its buffer of 64 KiB.
    assert!(held <= 2 * file.len() + (256 << 10), "{held} bytes were held for a package of {}", file.len());
    let Ok(table) = SectionTable::parse(file) else {
        assert!(parsed.is_err() && inspect(file).is_err());
        return;
    };
    let faults = table.faults(file);
    assert_eq!(parsed.as_ref().err(), faults.first());
    assert!(table.gap_bytes(file) <= file.len() as u64);
    let report = inspect(file).expect("there is a table");
    assert_eq!((report.accepted, report.sections.len()), (faults.is_empty(), table.sections().len()));
    assert!(report.accepted || !report.whole);
    let Ok(package) = parsed else { return };
    assert!(package.bytes() == file && table.end() == file.len() as u64);
    assert!(package.sections().iter().any(|section| section.is_bootable()));
    let mut ranges = Vec::new();
    for section in package.sections() {
        let stored = package.section_bytes(section);
        assert_eq!((stored.len() as u64, djb2(stored)), (u64::from(section.size()), section.checksum()));
        if section.size() > 0 {
            ranges.push((u64::from(section.offset()), section.end()));
        }
        if let Some(content) = section.content(stored) {
            let mut most = content.take(1 << 20);
            let _ = std::io::copy(&mut most, &mut std::io::sink());
        }
    }
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{ranges:?}");
    let _ = (package.app_name(), package.firmware_version(), package.firmware_magic());
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(file) = read(input) else { return Corpus::Reject };
    check(&file);
    // Packing is slow: the second section begins at 1 MiB.
    if let [0x7e, parts @ ..] = input {
        let (firmware, rest) = parts.split_at(parts.len() / 2);
        let builder = PackageBuilder::new(firmware.to_vec()).pipeline(rest).asset_storage(parts);
        let file = builder.app_name(String::from_utf8_lossy(rest)).compressed().build().expect("small parts");
        let package = Package::parse(file).expect("it was packed here");
        let section = package.section("__firmware").expect("packed");
        let mut content = Vec::new();
        let mut reader = section.content(package.section_bytes(section)).expect("zlib");
        reader.read_to_end(&mut content).expect("intact");
        assert_eq!(content, firmware);
        assert_eq!(package.section("pipeline").map(|section| package.section_bytes(section)), Some(rest));
    }
    Corpus::Keep
});
