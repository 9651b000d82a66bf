//! The parts of a package as files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use oaktap::device::schema::assets;
use oaktap::package::{ASSET_STORAGE, ASSETS, Section, SectionTable};

use super::package::{new_folder, read};
use crate::cli::present::{self, say};

/// What decompresses to more is not written: cameras have 512 MB of memory.
const MOST: u64 = 512 << 20;

/// Writes every section that is whole into a new folder, and the files of the nodes beside them.
pub(super) fn extract(package: &Path, folder: &Path) -> anyhow::Result<()> {
    let file = read(package)?;
    let table = SectionTable::parse(&file).with_context(|| format!("inspecting {}", package.display()))?;
    let faults = table.faults(&file);
    let whole = |section: &&Section| !faults.iter().any(|fault| fault.section() == Some(section.index()));
    new_folder(folder)?;
    let mut written = 0;
    for section in table.sections() {
        match section.stored_in(&file).filter(|_| whole(&section)) {
            Some(stored) => {
                let content: Box<dyn Read> = match section.content(stored) {
                    Some(content) => content,
                    None => {
                        say(&format!("section `{}` is written as it is stored: it is xz", section.name()));
                        Box::new(stored)
                    }
                };
                write(&folder.join(name(section.name())), content)?;
                written += 1;
            }
            None => say(&format!("section `{}` is damaged, and left out", section.name())),
        }
    }
    let bytes = |name| table.section(name).filter(whole)?.stored_in(&file);
    if let (Some(list), Some(storage)) = (bytes(ASSETS), bytes(ASSET_STORAGE)) {
        // What cannot be told of them stands in the report.
        for asset in assets(list).unwrap_or_default() {
            if let Some(stored) = asset.stored_in(storage) {
                write(&folder.join(name(asset.key.trim_start_matches('/'))), stored)?;
                written += 1;
            }
        }
    }
    present::say(&format!("{written} files are in {}", folder.display()));
    Ok(())
}

/// A name for a file in one folder, whatever the package says.
fn name(told: &str) -> PathBuf {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '-' };
    let name: String = told.chars().map(safe).collect();
    match name.trim_start_matches('.') {
        "" => "unnamed".into(),
        name if name.ends_with("__script") => format!("{name}.py").into(),
        name if name.ends_with("__blob") => format!("{name}.blob").into(),
        name => name.into(),
    }
}

fn write(path: &Path, content: impl Read) -> anyhow::Result<()> {
    let copied = File::create_new(path).and_then(|mut file| io::copy(&mut content.take(MOST + 1), &mut file));
    let copied = copied.with_context(|| format!("{} cannot be written", path.display()))?;
    anyhow::ensure!(copied <= MOST, "{} has more than {MOST} bytes, more than a camera has", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn names_from_a_package_stay_in_the_folder() {
        let told = |text: &str| name(text).display().to_string();
        assert_eq!(told("__firmware"), "__firmware");
        assert_eq!(told("node/1/__script"), "node-1-__script.py");
        assert_eq!(told("node/2/__blob"), "node-2-__blob.blob");
        assert_eq!(told("../../etc/passwd"), "-..-etc-passwd");
        assert_eq!(told("C:\\x\0"), "C--x-");
        assert_eq!(told(".."), "unnamed");
        assert_eq!(told(""), "unnamed");
    }
}
