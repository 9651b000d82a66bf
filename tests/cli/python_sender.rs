//! The Python sender of `docs/stream.md`, received by the program.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::program::run;

/// Killed on drop: it sends for 20 s.
struct Sender(Child);

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it on a free port. Returns its address.
fn start() -> (Sender, String) {
    let page = include_str!("../../docs/stream.md");
    let program = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a program");
    let mut child = Command::new("python3")
        .args(["-c", program, "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts: `.ci/need tests` installs it");
    let mut port = String::new();
    BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut port).expect("a port");
    let address = format!("127.0.0.1:{}", port.trim());
    (Sender(child), address)
}

#[test]
fn the_python_sender_of_the_page_is_received() {
    let (_sender, address) = start();
    let (code, out, err) = run(&["detections", &address, "-n", "3"]);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3);
    for (n, line) in lines.iter().enumerate() {
        assert_eq!((&line["seq"], &line["device_time_us"]), (&n.into(), &(100_000 * n).into()));
        assert_eq!((&line["width"], &line["height"], &line["format"]), (&640.into(), &352.into(), &"BGR888p".into()));
        let found = &line["detections"][0];
        assert_eq!((&found["name"], &found["confidence"]), (&"person".into(), &0.875.into()));
    }
    let (_sender, address) = start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("picture.png");
    let (code, _, err) = run(&["snapshot", &address, "--no-overlay", "-o", file.to_str().expect("UTF-8")]);
    assert_eq!(code, 0, "{err}");
    let json = std::fs::read(file.with_extension("json")).expect("a file");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    let gray = json["seq"].as_u64().expect("a number") as u8;
    let picture = image::open(&file).expect("a picture").into_rgb8();
    assert_eq!((picture.dimensions(), picture.get_pixel(639, 351).0), ((640, 352), [gray; 3]));
}
