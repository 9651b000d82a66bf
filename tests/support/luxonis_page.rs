//! The programs of Luxonis' standalone page, extracted when a test runs: we may not distribute them.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const PAGE: &str = "seeds/002_9ab1a48b98534005.txt";

/// The first Python block after these words; `None`, with the reason on stderr, where the page is missing.
pub(crate) fn program(behind: &str) -> Option<String> {
    let shared = std::env::var_os("OAKTAP_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = shared.join(PAGE);
    let Ok(page) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} not found (set OAKTAP_SHARED to the folder that has it)", path.display());
        return None;
    };
    let (_, rest) = page.split_once(behind).expect("the page has these words");
    let (_, rest) = rest.split_once("```python\n").expect("a program follows");
    Some(rest.split_once("```").expect("the program ends").0.to_owned())
}

/// A command for a script of `tests/python` with its output in a pipe, run by the first Python that has numpy.
pub(crate) fn python(script: &str) -> Command {
    let runs = |python: &str, program: &str| {
        let quiet = Command::new(python).args(["-c", program]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    };
    let pythons = ["python3", "/usr/bin/python3"];
    let python = pythons.iter().find(|python| runs(python, "import numpy")).unwrap_or(&"python3");
    assert!(runs(python, ""), "python3 not found: `.ci/need tests` installs it");
    let mut command = Command::new(python);
    command.arg("-u").arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The lines that the page's host program prints for a camera at this port.
pub(crate) fn seen_by_the_host(program: &str, port: u16, frames: usize) -> Vec<String> {
    let mut process = python("host.py")
        .args([port.to_string(), frames.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .map(Process)
        .expect("python3 starts");
    process.0.stdin.take().expect("a pipe").write_all(program.as_bytes()).expect("Python reads the program");
    let output = std::io::read_to_string(process.0.stdout.take().expect("a pipe")).expect("text");
    assert!(process.0.wait().expect("it ends").success());
    output.lines().map(str::to_owned).collect()
}

/// A process that is killed on drop.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It has already ended if the test passed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
