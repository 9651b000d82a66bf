//! The program `oaktap`, without input and with a terminal of fixed width and no color.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::process::{Child, Command, Output, Stdio};

pub(crate) fn oaktap(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oaktap"));
    command.args(args).env("NO_COLOR", "1").env("COLUMNS", "100").stdin(Stdio::null());
    command
}

/// Runs it to its end: exit code, standard output, standard error.
pub(crate) fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = oaktap(args).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (status.code().expect("it was not killed"), text(stdout), text(stderr))
}

/// Sends a signal such as `INT`, through the shell: a minimal Debian has no `kill` program.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status();
    assert!(status.expect("there is a shell").success());
}
