//! Extracts the parts of a package to files.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use oaktap::device::schema::assets;
use oaktap::file::NewFile;
use oaktap::package::{ASSET_STORAGE, ASSETS, Section, SectionTable};

use super::package::{new_folder, read};
use crate::cli::present::{self, say};

/// The memory of a camera: larger sections are not written.
const EXTRACTED_MAX_BYTES: u64 = 512 << 20;

/// Writes every intact section, and the files of the nodes, to a new folder.
pub(super) fn extract(package: &Path, folder: &Path) -> anyhow::Result<()> {
    let file = read(package)?;
    let table = SectionTable::parse(&file).with_context(|| format!("cannot inspect {}", package.display()))?;
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
                        say(&format!("section `{}` is xz-compressed and written as stored", section.name()));
                        Box::new(stored)
                    }
                };
                write(&folder.join(safe_name(section.name())), content)?;
                written += 1;
            }
            None => say(&format!("section `{}` is damaged and was skipped", section.name())),
        }
    }
    let bytes = |name| table.section(name).filter(whole)?.stored_in(&file);
    if let (Some(list), Some(storage)) = (bytes(ASSETS), bytes(ASSET_STORAGE)) {
        // The report shows why a list cannot be parsed.
        for asset in assets(list).unwrap_or_default() {
            if let Some(stored) = asset.stored_in(storage) {
                write(&folder.join(safe_name(asset.key.trim_start_matches('/'))), stored)?;
                written += 1;
            }
        }
    }
    present::say(&format!("wrote {written} files to {}", folder.display()));
    Ok(())
}

/// Makes a name from the package safe as a file name in one folder.
fn safe_name(name: &str) -> PathBuf {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '-' };
    let name: String = name.chars().map(safe).collect();
    match name.trim_start_matches('.') {
        "" => "unnamed".into(),
        name if name.ends_with("__script") => format!("{name}.py").into(),
        name if name.ends_with("__blob") => format!("{name}.blob").into(),
        name => name.into(),
    }
}

fn write(path: &Path, content: impl Read) -> anyhow::Result<()> {
    let what = || format!("cannot write {}", path.display());
    let mut file = NewFile::create(path).with_context(what)?;
    let copied = io::copy(&mut content.take(EXTRACTED_MAX_BYTES + 1), &mut file).with_context(what)?;
    anyhow::ensure!(
        copied <= EXTRACTED_MAX_BYTES,
        "{} exceeds {EXTRACTED_MAX_BYTES} bytes, the memory of a camera",
        path.display()
    );
    file.finish().with_context(what)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::safe_name;

    #[test]
    fn names_from_a_package_stay_in_the_folder() {
        let safe = |text: &str| safe_name(text).display().to_string();
        assert_eq!(safe("__firmware"), "__firmware");
        assert_eq!(safe("node/1/__script"), "node-1-__script.py");
        assert_eq!(safe("node/2/__blob"), "node-2-__blob.blob");
        assert_eq!(safe("../../etc/passwd"), "-..-etc-passwd");
        assert_eq!(safe("C:\\x\0"), "C--x-");
        assert_eq!(safe(".."), "unnamed");
        assert_eq!(safe(""), "unnamed");
    }
}
