//! Programs of others that read our recordings and exports. `.ci/need tests` installs them.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use oaktap::package::Package;

/// Runs a script of `tests/python` with the packages that it needs. `None` without them; panics in CI.
pub(crate) fn python(script: &str, arguments: &[&Path]) -> Option<String> {
    Some(output(python_script(script)?.args(arguments)))
}

/// Returns the command that runs a script of `tests/python` with the packages that it needs. `None` without them; panics in CI.
pub(crate) fn python_script(script: &str) -> Option<Command> {
    Some(script_of(&place()?.join("python"), script))
}

/// Returns the command that runs a script of `tests/python` with ROS 2. `None` without it.
pub(crate) fn ros_script(script: &str) -> Option<Command> {
    let place = target().join("ros2");
    let is_there = place.join("installed").exists();
    if !is_there {
        println!("skipped: ROS 2 not found in {}; `.ci/need vendors` installs it", place.display());
    }
    is_there.then(|| script_of(&place.join("bin/python"), script))
}

fn script_of(python: &Path, script: &str) -> Command {
    let mut command = Command::new(python);
    command.arg("-u").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script));
    command
}

/// Returns whether the environment of [`python`] has a package. Panics in CI without it.
pub(crate) fn has_python_package(name: &str) -> bool {
    let Some(place) = place() else { return false };
    let imported = Command::new(place.join("python")).args(["-c", &format!("import {name}")]).output();
    let there = imported.is_ok_and(|output| output.status.success());
    if !there {
        missing(&format!("Python package {name}"));
    }
    there
}

/// A file that one of these packages brings. `None` without it; panics in CI.
pub(crate) fn python_file(package: &str, file: &str) -> Option<PathBuf> {
    let libraries = std::fs::read_dir(place()?.parent()?.join("lib")).into_iter().flatten().filter_map(Result::ok);
    let mut paths = libraries.map(|library| library.path().join("site-packages").join(package).join(file));
    let found = paths.find(|path| path.exists());
    if found.is_none() {
        missing(&format!("{file} of the Python package {package}"));
    }
    found
}

/// A program beside these packages. `None` without it; panics in CI.
pub(crate) fn program(name: &str) -> Option<Command> {
    let program = place()?.join(name);
    let there = program.exists();
    if !there {
        missing(&program.display().to_string());
    }
    there.then(|| Command::new(program))
}

/// Returns a port on which nothing listens, for a program that cannot choose one itself.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port()
}

/// Python with the vendor's client, depthai 2.30. `None` if it is not installed; in CI only if `.ci/need` could not
/// download it.
pub(crate) fn vendor() -> Option<Command> {
    vendor_of("2.30.0.0")
}

/// The same for any version of depthai.
pub(crate) fn vendor_of(version: &str) -> Option<Command> {
    let place = target().join(format!("vendor-{version}"));
    let python = place.join(if cfg!(windows) { "Scripts" } else { "bin" }).join("python");
    // `.ci/need` leaves these files when the installation succeeded or failed.
    if place.join("installed").exists() {
        return Some(Command::new(python));
    }
    if place.join("unreachable").exists() {
        println!("skipped: depthai {version} could not be downloaded when `.ci/need` ran");
    } else {
        missing(&format!("depthai {version} in {}", place.display()));
    }
    None
}

/// `ffprobe` or `ffmpeg`.
pub(crate) fn system(name: &str) -> Option<Command> {
    let there = Command::new(name).arg("-version").output().is_ok();
    if !there {
        missing(name);
    }
    there.then(|| Command::new(name))
}

/// Returns its standard output. Panics with all output when it fails.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// The contents of a section of a package, decompressed.
pub(crate) fn content(package: &Package, name: &str) -> Vec<u8> {
    let section = package.section(name).unwrap_or_else(|| panic!("no section {name}"));
    let mut content = Vec::new();
    let mut reader = section.content(package.section_bytes(section)).expect("it can be decompressed");
    reader.read_to_end(&mut content).expect("intact");
    content
}

/// The programs of the virtual environment in cargo's target folder.
fn place() -> Option<PathBuf> {
    let target = target();
    let place = target.join("peers").join(if cfg!(windows) { "Scripts" } else { "bin" });
    // The package that is installed last.
    let there = place.join("python").exists() && place.join("rerun").exists();
    if !there {
        missing(&format!("Python environment in {}", target.join("peers").display()));
    }
    there.then_some(place)
}

fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's target folder")
}

fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "missing: {what}; `.ci/need tests` installs it");
    println!("skipped: {what} not found; `.ci/need tests` installs it");
}
