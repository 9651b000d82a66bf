//! The depthai package that contains the firmware: given by the user, or found on this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, iter};

use anyhow::{Context as _, anyhow};
use oaktap::device::firmware::KNOWN_FIRMWARE;

use crate::cli::present::{self, advised};

/// The prefix of the file names of wheels and extension modules.
const NAME_PREFIX: &str = "depthai";
const DOWNLOAD_HELP: &str = "`pip download --no-deps depthai==2.30.0.0` downloads it without installing; then run this \
                             command again in the same folder, or give the file with --firmware";
/// Prints the module search path of a Python, one folder per line.
const PRINT_SEARCH_PATH: &str = "import sys; print('\\n'.join(path for path in sys.path if path))";

/// A wheel or an extension module.
#[derive(Debug)]
struct Candidate {
    path: PathBuf,
    /// The version in its file name, or in the name of the `.dist-info` folder beside it.
    version: Option<String>,
}

/// A wheel or an extension module, read into memory.
#[derive(Debug)]
pub(crate) struct Wheel {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// Reads the given file, or the first one on this machine whose firmware is known.
pub(crate) fn open(named: Option<&Path>) -> anyhow::Result<Wheel> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => {
            let Candidate { path, version } = first(places())?;
            present::say(&format!("firmware: depthai {} in {}", version.as_deref().unwrap_or("?"), path.display()));
            path
        }
    };
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Wheel { path, bytes })
}

/// Returns the folders to search: the current one, the active environment, those of each Python in `PATH`, and the user's.
/// Lazy, because it runs each Python.
fn places() -> impl Iterator<Item = PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let name = if cfg!(windows) { "python.exe" } else { "python3" };
    let pythons: Vec<_> = env::split_paths(&path).map(|folder| folder.join(name)).collect();
    iter::once(PathBuf::from("."))
        .chain(active.flat_map(|prefix| site_packages(&prefix)))
        .chain(pythons.into_iter().filter(|python| python.is_file()).flat_map(|python| search_path(&python)))
        .chain(env::home_dir().into_iter().flat_map(|home| site_packages(&home.join(".local"))))
}

/// Returns the module search path of a Python, or nothing if it cannot be run.
fn search_path(python: &Path) -> Vec<PathBuf> {
    let output =
        Command::new(python).args(["-c", PRINT_SEARCH_PATH]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    output.lines().map(PathBuf::from).collect()
}

/// Returns the module folders of an environment.
fn site_packages(prefix: &Path) -> Vec<PathBuf> {
    let versions = entries(&prefix.join("lib")).into_iter().filter(|path| name(path).starts_with("python3"));
    let mut folders: Vec<_> = versions.map(|version| version.join("site-packages")).collect();
    folders.push(prefix.join("Lib/site-packages"));
    folders
}

/// Returns the entries of a folder by name, or nothing if it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap_or_default()
}

fn search(folder: &Path) -> Vec<Candidate> {
    let depthai: Vec<_> = entries(folder).into_iter().filter(|path| name(path).starts_with(NAME_PREFIX)).collect();
    // depthai-2.30.0.0-cp311-cp311-manylinux_2_28_x86_64.whl, and depthai-2.30.0.0.dist-info beside a module.
    let version = |name: &str| Some(name.strip_prefix(NAME_PREFIX)?.strip_prefix('-')?.split('-').next()?.to_owned());
    let installed = depthai.iter().find_map(|path| version(name(path).strip_suffix(".dist-info")?));
    let candidate = |path: PathBuf| {
        let version = match path.extension()?.to_str()? {
            "whl" => Some(version(name(&path))?),
            "so" | "pyd" => installed.clone(),
            _ => return None,
        };
        Some(Candidate { path, version })
    };
    depthai.into_iter().filter_map(candidate).collect()
}

/// Returns the first candidate with a known version.
fn first(places: impl Iterator<Item = PathBuf>) -> anyhow::Result<Candidate> {
    let mut others = Vec::new();
    for candidate in places.flat_map(|place| search(&place)) {
        if KNOWN_FIRMWARE.iter().any(|known| candidate.version.as_deref() == Some(known.version)) {
            return Ok(candidate);
        }
        let Candidate { path, version } = candidate;
        let found = format!("depthai {} in {}", version.as_deref().unwrap_or("of unknown version"), path.display());
        if !others.contains(&found) {
            others.push(found);
        }
    }
    let others = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
    let versions = KNOWN_FIRMWARE.map(|known| known.version).join(", ");
    let error = anyhow!("cannot find a depthai package with known firmware ({versions}); found {others}");
    Err(advised(error, DOWNLOAD_HELP))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder");
        for file in files {
            let path = folder.path().join(file);
            if file.ends_with("info") { fs::create_dir(path) } else { fs::write(path, b"x") }.expect("writable folder");
        }
        folder
    }

    fn chosen(folders: &[&tempfile::TempDir]) -> anyhow::Result<Candidate> {
        first(folders.iter().map(|folder| folder.path().to_owned()))
    }

    const MODULE: &str = "depthai.cpython-311-x86_64-linux-gnu.so";
    const WHEEL: &str = "depthai-2.33.0.0-cp311-cp311-manylinux_2_28_x86_64.whl";
    const OLD: &str = "depthai-2.17.0.0-cp39-cp39-win_amd64.whl";

    #[test]
    fn wheels_and_modules_are_found_with_their_versions() {
        let others = ["numpy.so", "depthai.py", "depthai_sdk-1.9.4-py3-none-any.whl", "depthai.libs-info"];
        let all = folder(&[&[MODULE, WHEEL, OLD, "depthai-2.30.0.0.dist-info"][..], &others].concat());
        let found = search(all.path());
        let found: Vec<_> = found.iter().map(|found| (name(&found.path), found.version.as_deref())).collect();
        assert_eq!(found, [(OLD, Some("2.17.0.0")), (WHEEL, Some("2.33.0.0")), (MODULE, Some("2.30.0.0"))]);
        let [unknown, wheel] = [&[MODULE, OLD][..], &[WHEEL]].map(folder);
        assert_eq!(name(&chosen(&[&unknown, &wheel, &all]).expect("a known version").path), WHEEL);
        assert_eq!(name(&chosen(&[&all]).expect("a known version").path), WHEEL);
        let environment = tempfile::tempdir().expect("temporary folder");
        let packages = environment.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(&packages).expect("writable folder");
        assert!(site_packages(environment.path()).contains(&packages));
    }

    #[test]
    fn a_missing_package_is_reported_with_the_versions_wanted_and_found() {
        let error = |folders: &[&tempfile::TempDir]| chosen(folders).expect_err("no known version").to_string();
        let text = error(&[]);
        assert!(text.contains("(2.30.0.0, ") && text.ends_with("); found nothing"), "{text}");
        assert!(DOWNLOAD_HELP.contains(&format!("depthai=={}`", KNOWN_FIRMWARE[0].version)));
        let [old, module] = [&[OLD][..], &[MODULE]].map(folder);
        let [wheel, unversioned] =
            [old.path().join(OLD), module.path().join(MODULE)].map(|path| path.display().to_string());
        let expected = format!("found depthai 2.17.0.0 in {wheel}, depthai of unknown version in {unversioned}");
        let text = error(&[&old, &module, &old]);
        assert!(text.ends_with(&expected), "{text}");
    }
}
