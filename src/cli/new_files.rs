//! Checks of the files that a command will write, before it touches a camera or works for minutes. No command replaces a
//! file.

use std::io;
use std::path::Path;

use oaktap::file;
use oaktap::units::Bytes;

use super::present::{Usage, advised};

pub(crate) const EXISTS_HELP: &str = "oaktap does not replace files: give another name, or remove it";
/// Every folder needs this much space: a file of a few bytes fits even on a disk that is full.
const SPACE_MIN_BYTES: u64 = 64 << 10;

/// Refuses `-`: no command writes recordings, pictures or tables to standard output. `expected` is what the option takes.
pub(crate) fn refuse_standard_output(path: &Path, expected: &str) -> anyhow::Result<()> {
    if path == Path::new("-") {
        return Err(Usage(format!("`-o -` is not supported: expected {expected}")).into());
    }
    Ok(())
}

/// Creates the folder of this file, and checks that the file does not exist and can be written.
pub(crate) fn check_file(path: &Path) -> anyhow::Result<()> {
    create_parent(path)?;
    file::check_new(path, SPACE_MIN_BYTES).map_err(|error| not_written(path, error))
}

/// Creates the folder that this file or folder will be in.
pub(crate) fn create_parent(path: &Path) -> anyhow::Result<()> {
    file::create_parent(path).map_err(|error| not_written(path, error))
}

/// Creates the folder, and checks that files can be written to it. `files` is what they are, such as `receipts`.
pub(crate) fn check_folder(folder: &Path, files: &str) -> anyhow::Result<()> {
    check_space(folder, files, SPACE_MIN_BYTES)
}

/// Like [`check_folder`], for files of this size together.
pub(crate) fn check_space(folder: &Path, files: &str, bytes: u64) -> anyhow::Result<()> {
    let bytes = bytes.max(SPACE_MIN_BYTES);
    let probe = folder.join(format!(".oaktap-space-{}", std::process::id()));
    let checked = match folder.is_file() {
        true => Err(io::Error::new(io::ErrorKind::NotADirectory, "it is a file, expected a folder")),
        false => file::create_writable_folder(folder).and_then(|()| file::check_new(&probe, bytes)),
    };
    checked.map_err(|error| {
        let size =
            if error.kind() == io::ErrorKind::StorageFull { format!(" of {}", Bytes(bytes)) } else { String::new() };
        anyhow::Error::new(error).context(format!("cannot write {files}{size} to {}", folder.display()))
    })
}

/// Returns the error of a file that is not written.
pub(crate) fn not_written(path: &Path, error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists if path.symlink_metadata().is_ok() => {
            advised(anyhow::anyhow!("{} already exists", path.display()), EXISTS_HELP)
        }
        io::ErrorKind::AlreadyExists => anyhow::anyhow!("another process is writing {}", path.display()),
        _ => anyhow::Error::new(error).context(format!("cannot write {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_exists_is_named_without_the_words_of_the_system() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.dap");
        check_file(&path).expect("a new file");
        std::fs::write(&path, "mine").expect("writable folder");
        let error = format!("{:#}", check_file(&path).expect_err("it exists"));
        assert_eq!(error, format!("{} already exists", path.display()));
        let below = path.join("b.dap");
        let error = format!("{:#}", check_file(&below).expect_err("a file is not a folder"));
        assert!(error.starts_with(&format!("cannot write {}: ", below.display())), "{error}");
        check_file(&folder.path().join("deep/er/x.png")).expect("its folder is created");
        check_folder(&folder.path().join("new"), "files").expect("a new folder");
        let error = format!("{:#}", check_folder(&path, "files").expect_err("it is a file"));
        assert_eq!(error, format!("cannot write files to {}: it is a file, expected a folder", path.display()));
        let names = |folder: &Path| std::fs::read_dir(folder).expect("a folder").count();
        assert_eq!(["", "new", "deep/er"].map(|name| names(&folder.path().join(name))), [3, 0, 0]);
    }
}
