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

/// Sends a signal such as `INT`.
pub(crate) fn signal(child: &Child, name: &str) {
    signals(child, &[name]);
}

/// Sends signals such as `INT`, one right after the other, through the shell: a minimal Debian has no `kill` program.
pub(crate) fn signals(child: &Child, names: &[&str]) {
    // The process may have ended before it receives the last one.
    let each = |name: &&str| format!("kill -{name} {} 2> /dev/null || true\n", child.id());
    let status = Command::new("sh").args(["-c", &names.iter().map(each).collect::<String>()]).status();
    assert!(status.expect("there is a shell").success());
}

/// A process that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
