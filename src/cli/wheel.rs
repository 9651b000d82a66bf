//! The vendor's package, depthai, which the firmware comes out of: named by the user, or found on this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, iter};

use anyhow::{Context as _, anyhow};
use oaktap::device::firmware::KNOWN_FIRMWARE;

use super::present::{self, advised};

/// Wheels and extension modules begin with it.
const NAME: &str = "depthai";
/// How to get one.
const GET: &str = "`pip download --no-deps depthai==2.30.0.0` fetches it and installs nothing; then try again in the same \
                   folder, or name the file with --firmware";
/// Prints where a Python looks for modules, one folder a line.
const ASK: &str = "import sys; print('\\n'.join(path for path in sys.path if path))";

/// A wheel or an extension module.
#[derive(Debug)]
struct Candidate {
    /// Where it is.
    path: PathBuf,
    /// Its version, as its name or that of the folder beside it says.
    version: Option<String>,
}

/// A wheel or an extension module, and all of its bytes.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What is in it.
    pub(crate) bytes: Vec<u8>,
}

/// The one that was named, or the first on this machine whose firmware is known.
pub(crate) fn open(named: Option<&Path>) -> anyhow::Result<Wheel> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => {
            let Candidate { path, version } = first(places())?;
            present::say(&format!("firmware: depthai {} in {}", version.as_deref().unwrap_or("?"), path.display()));
            path
        }
    };
    let bytes = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(Wheel { path, bytes })
}

/// Folders that may have one, in the order in which people expect to be asked: this one, the active environment, those of the
/// Pythons in the path, which are only asked when they come up, and the user's.
fn places() -> impl Iterator<Item = PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let name = if cfg!(windows) { "python.exe" } else { "python3" };
    let pythons: Vec<_> = env::split_paths(&path).map(|folder| folder.join(name)).collect();
    iter::once(PathBuf::from("."))
        .chain(active.flat_map(|prefix| site_packages(&prefix)))
        .chain(pythons.into_iter().filter(|python| python.is_file()).flat_map(|python| ask(&python)))
        .chain(env::home_dir().into_iter().flat_map(|home| site_packages(&home.join(".local"))))
}

/// Where a Python looks for modules; nowhere, if it cannot be run.
fn ask(python: &Path) -> Vec<PathBuf> {
    let said = Command::new(python).args(["-c", ASK]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    said.lines().map(PathBuf::from).collect()
}

/// The folders of modules of an environment.
fn site_packages(prefix: &Path) -> Vec<PathBuf> {
    let versions = entries(&prefix.join("lib")).into_iter().filter(|path| name(path).starts_with("python3"));
    let mut folders: Vec<_> = versions.map(|version| version.join("site-packages")).collect();
    folders.push(prefix.join("Lib/site-packages"));
    folders
}

/// What is in a folder, by name; nothing, if it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap_or_default()
}

/// Those of one folder.
fn search(folder: &Path) -> Vec<Candidate> {
    let of_depthai: Vec<_> = entries(folder).into_iter().filter(|path| name(path).starts_with(NAME)).collect();
    // depthai-2.30.0.0-cp311-cp311-manylinux_2_28_x86_64.whl, and depthai-2.30.0.0.dist-info beside a module.
    let version = |name: &str| Some(name.strip_prefix(NAME)?.strip_prefix('-')?.split('-').next()?.to_owned());
    let installed = of_depthai.iter().find_map(|path| version(name(path).strip_suffix(".dist-info")?));
    let candidate = |path: PathBuf| {
        let version = match path.extension()?.to_str()? {
            "whl" => Some(version(name(&path))?),
            "so" | "pyd" => installed.clone(),
            _ => return None,
        };
        Some(Candidate { path, version })
    };
    of_depthai.into_iter().filter_map(candidate).collect()
}

/// The first of a version that is known.
fn first(places: impl Iterator<Item = PathBuf>) -> anyhow::Result<Candidate> {
    let mut others = Vec::new();
    for candidate in places.flat_map(|place| search(&place)) {
        if KNOWN_FIRMWARE.iter().any(|known| candidate.version.as_deref() == Some(known.version)) {
            return Ok(candidate);
        }
        let Candidate { path, version } = candidate;
        let told = format!("depthai {} in {}", version.as_deref().unwrap_or("of no known version"), path.display());
        if !others.contains(&told) {
            others.push(told);
        }
    }
    let others = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
    let versions = KNOWN_FIRMWARE.map(|known| known.version).join(", ");
    let error =
        anyhow!("the firmware comes out of depthai, and none that is known ({versions}) is here: found {others}");
    Err(advised(error, GET))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            if file.ends_with("info") { fs::create_dir(path) } else { fs::write(path, b"x") }.expect("it is written");
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
        let told: Vec<_> = found.iter().map(|found| (name(&found.path), found.version.as_deref())).collect();
        assert_eq!(told, [(OLD, Some("2.17.0.0")), (WHEEL, Some("2.33.0.0")), (MODULE, Some("2.30.0.0"))]);
        let [unknown, wheel] = [&[MODULE, OLD][..], &[WHEEL]].map(folder);
        assert_eq!(name(&chosen(&[&unknown, &wheel, &all]).expect("a known one").path), WHEEL);
        assert_eq!(name(&chosen(&[&all]).expect("a known one").path), WHEEL);
        let environment = tempfile::tempdir().expect("a folder");
        let packages = environment.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(&packages).expect("folders");
        assert!(site_packages(environment.path()).contains(&packages));
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_to_get_it() {
        let error = |folders: &[&tempfile::TempDir]| chosen(folders).expect_err("none of them").to_string();
        let text = error(&[]);
        assert!(text.contains("(2.30.0.0, ") && text.ends_with(") is here: found nothing"), "{text}");
        assert!(GET.contains(&format!("depthai=={}`", KNOWN_FIRMWARE[0].version)));
        let [old, module] = [&[OLD][..], &[MODULE]].map(folder);
        let [wheel, unversioned] =
            [old.path().join(OLD), module.path().join(MODULE)].map(|path| path.display().to_string());
        let expected = format!("found depthai 2.17.0.0 in {wheel}, depthai of no known version in {unversioned}");
        let text = error(&[&old, &module, &old]);
        assert!(text.ends_with(&expected), "{text}");
    }
}
