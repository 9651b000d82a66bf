//! The real program, with nobody at its keyboard and a terminal that is always the same.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::process::{Child, Command, Output, Stdio};

pub(crate) fn oaktap(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oaktap"));
    command.args(args).env("NO_COLOR", "1").env("COLUMNS", "100").stdin(Stdio::null());
    command
}

/// Runs it to its end: the exit code, what it printed, and what it said on standard error.
pub(crate) fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = oaktap(args).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (status.code().expect("it was not killed"), text(stdout), text(stderr))
}

/// Sends it a signal, such as `INT`. By the shell: a minimal Debian has no program `kill`.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status();
    assert!(status.expect("there is a shell").success());
}
