//! The vendor's package, depthai, which the firmware comes out of: named by the user, or found on this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, anyhow};
use oaktap::device::firmware::KNOWN;

use super::present::{self, advised};

/// Wheels and extension modules begin with it.
const NAME: &str = "depthai";
/// How to get one.
const GET: &str = "`pip download --no-deps depthai==2.30.0.0` fetches it and installs nothing; then try again in the same \
                   folder, or name the file with --firmware";
/// Prints where a Python looks for modules, one folder a line.
const ASK: &str = "import sys; print('\\n'.join(path for path in sys.path if path))";

/// A wheel or an extension module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its version, as its name or that of the folder beside it says.
    pub(crate) version: Option<String>,
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
            let found = find();
            let Candidate { path, version } = choose(&found)?;
            present::say(&format!("firmware: depthai {} in {}", version.as_deref().unwrap_or("?"), path.display()));
            path.clone()
        }
    };
    let bytes = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(Wheel { path, bytes })
}

/// All that are found: as a wheel in this folder, and in the Python environments of this machine.
pub(crate) fn find() -> Vec<Candidate> {
    let mut found = Vec::new();
    for place in places() {
        let seen = |found: &[Candidate], new: &Candidate| found.iter().any(|old| old.path == new.path);
        let new = search(&place);
        found.extend(new.into_iter().filter(|new| !seen(&found, new)).collect::<Vec<_>>());
    }
    found
}

/// Folders that may have one, in the order in which people expect to be asked.
fn places() -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from(".")];
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    places.extend(active.flat_map(|prefix| site_packages(&prefix)));
    let path = env::var_os("PATH").unwrap_or_default();
    let name = if cfg!(windows) { "python.exe" } else { "python3" };
    let mut asked = Vec::new();
    for python in env::split_paths(&path).map(|folder| folder.join(name)).filter(|python| python.is_file()) {
        // Several names of one and the same answer alike; in a virtual environment a link is one of its own.
        if !asked.contains(&python) {
            places.extend(ask(&python));
            asked.push(python);
        }
    }
    places.extend(env::home_dir().into_iter().flat_map(|home| site_packages(&home.join(".local"))));
    places
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

/// The first of a version that is known, the version that is named first before the others.
fn choose(found: &[Candidate]) -> anyhow::Result<&Candidate> {
    let of = |version: &str| found.iter().find(|candidate| candidate.version.as_deref() == Some(version));
    KNOWN.iter().find_map(|known| of(known.version)).ok_or_else(|| {
        let listed = |Candidate { path, version }: &Candidate| {
            format!("depthai {} in {}", version.as_deref().unwrap_or("of no known version"), path.display())
        };
        let others = found.iter().map(listed).collect::<Vec<_>>().join(", ");
        let others = if others.is_empty() { "nothing".to_owned() } else { others };
        let versions = KNOWN.map(|known| known.version).join(" nor depthai ");
        let error =
            anyhow!("the firmware comes out of depthai, and there is neither depthai {versions} here: found {others}");
        advised(error, GET)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str]) -> (tempfile::TempDir, Vec<Candidate>) {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            if file.ends_with("info") { fs::create_dir(path) } else { fs::write(path, b"x") }.expect("it is written");
        }
        let found = search(folder.path());
        (folder, found)
    }

    fn told(found: &[Candidate]) -> Vec<(&str, Option<&str>)> {
        found.iter().map(|candidate| (name(&candidate.path), candidate.version.as_deref())).collect()
    }

    #[test]
    fn wheels_and_modules_are_found_with_their_versions() {
        let module = "depthai.cpython-311-x86_64-linux-gnu.so";
        let wheel = "depthai-2.33.0.0-cp311-cp311-manylinux_2_28_x86_64.whl";
        let others = ["numpy.so", "depthai.py", "depthai_sdk-1.9.4-py3-none-any.whl", "depthai.libs-info"];
        let (_folder, all) = found(&[&[module, wheel, "depthai-2.30.0.0.dist-info"][..], &others].concat());
        assert_eq!(told(&all), [(wheel, Some("2.33.0.0")), (module, Some("2.30.0.0"))]);
        assert_eq!(name(&choose(&all).expect("a known one").path), module);
        let (_folder, only) = found(&[module]);
        assert_eq!(told(&only), [(module, None)]);
        let environment = tempfile::tempdir().expect("a folder");
        let packages = environment.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(&packages).expect("folders");
        assert!(site_packages(environment.path()).contains(&packages));
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_to_get_it() {
        let error = |found: &[Candidate]| choose(found).expect_err("none of them").to_string();
        let text = error(&[]);
        assert!(text.ends_with("there is neither depthai 2.30.0.0 nor depthai 2.33.0.0 here: found nothing"), "{text}");
        assert!(GET.contains(&format!("depthai=={}`", KNOWN[0].version)));
        let (folder, old) = found(&["depthai-2.17.0.0-cp39-cp39-win_amd64.whl"]);
        let there = folder.path().join("depthai-2.17.0.0-cp39-cp39-win_amd64.whl");
        assert!(error(&old).ends_with(&format!("found depthai 2.17.0.0 in {}", there.display())), "{}", error(&old));
    }
}
