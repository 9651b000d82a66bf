//! Output that nothing reads: a full pipe holds up neither the reception nor the end of a command.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::program::{oaktap, signal};

/// Far above the two seconds within which a command ends, because the machine may be busy.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// A camera that fills a pipe quickly.
const CAMERA: &str = "sim:?size=16x16&fps=0&boxes=3";

fn start(args: &[&str]) -> Child {
    oaktap(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Waits until the process has ended, and returns its exit code.
fn ended(child: &mut Child) -> i32 {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is a child") {
            return status.code().expect("it was not killed");
        }
        if since.elapsed() > ENDS_WITHIN {
            child.kill().expect("it runs");
            panic!("the program did not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn text(mut from: impl std::io::Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).expect("it prints UTF-8");
    text
}

#[test]
fn a_command_whose_output_is_not_read_ends_with_its_duration_and_counts_what_it_did_not_print() {
    let mut child = start(&["detections", CAMERA, "--duration", "300ms"]);
    let code = ended(&mut child);
    let err = text(child.stderr.take().expect("it is piped"));
    assert_eq!(code, 3, "{err}");
    let reason = err.lines().rev().nth(1).expect("a reason and its help");
    assert!(reason.contains("frames were received but not printed"), "{err}");
    assert!(err.lines().last().expect("a line").starts_with("help: "), "{err}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_a_command_whose_output_is_not_read() {
    for name in ["INT", "TERM", "HUP"] {
        let mut child = start(&["detections", CAMERA, "--json"]);
        let out = child.stdout.take().expect("it is piped");
        // A pipe holds 16 pages, each nearly full of short lines.
        while rustix::io::ioctl_fionread(&out).expect("it is a pipe") < 56_000 {
            assert!(child.try_wait().expect("it is a child").is_none(), "it ended early");
            std::thread::sleep(Duration::from_millis(10));
        }
        signal(&child, name);
        let code = ended(&mut child);
        let err = text(child.stderr.take().expect("it is piped"));
        assert_eq!(code, 1, "the summary could not be printed: {err}");
        assert!(err.contains("not printed") && err.contains("cannot write to standard output"), "{err}");
    }
}

#[test]
fn status_lines_that_are_not_read_do_not_keep_a_recording_from_ending() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    let path = path.to_str().expect("UTF-8");
    let mut child = start(&["record", "sim:?size=16x16", "-o", path, "--status", "1ms", "--duration", "1s"]);
    let code = ended(&mut child);
    let err = text(child.stderr.take().expect("it is piped"));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("cannot write to standard output"), "{err}");
    assert!(std::path::Path::new(path).is_file(), "the recording is finished: {err}");
}

/// Each damaged frame is a log line.
#[test]
fn notes_that_are_not_read_do_not_hold_up_the_reception() {
    let mut child = start(&["detections", "sim:?size=16x16&fps=0&fault=junk:0.9", "--frames", "4000", "--hash"]);
    let out = text(child.stdout.take().expect("it is piped"));
    let code = ended(&mut child);
    assert_eq!((code, out.lines().count()), (3, 4000));
}
