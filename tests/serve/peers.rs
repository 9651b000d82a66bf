//! Programs of others read what the server sends: OpenCV, VLC, Prometheus and schemathesis. `rtsp` has those that play RTSP.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::external_tools::{output, program, python, system};
use crate::program::Running;
use crate::server::{AGES, Server};

/// A user without rights: VLC refuses to run as root.
const NOBODY: u32 = 65534;

const BEARER: &str = "Bearer correct-horse-battery";

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn opencv_reads_mjpeg() {
    let server = Server::streaming(&["front=sim:?size=320x176&fps=30"]);
    let url = format!("http://127.0.0.1:{}/stream/front.mjpg", server.port);
    let Some(read) = python("read_mjpeg.py", &[Path::new(&url)]) else { return };
    assert_eq!(read.trim(), "10 pictures of 320x176, 10 with details");
}

/// `cvlc`, with a user that it accepts.
fn vlc(home: &Path) -> Option<Command> {
    let mut vlc = system("cvlc")?;
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if is_root {
        vlc.uid(NOBODY).gid(NOBODY);
    }
    vlc.env("HOME", home);
    Some(vlc)
}

/// The first pictures that VLC shows.
fn shown(folder: &Path, options: &[&str], url: &str) -> Option<Vec<PathBuf>> {
    let mut vlc = vlc(folder)?;
    vlc.args(["--intf", "dummy", "--no-audio", "--vout", "dummy", "--video-filter", "scene", "--scene-format", "png"]);
    vlc.args(["--scene-ratio", "5", "--scene-path", text(folder)]).args(options).arg(url);
    let log = std::fs::File::create(folder.join("log")).expect("a file");
    let mut process = Running(vlc.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("it starts"));
    let late = Instant::now() + AGES;
    loop {
        let files = std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("one").path());
        let mut pictures: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "png")).collect();
        pictures.sort();
        // VLC may be writing the last one.
        if pictures.len() > 3 {
            pictures.pop();
            return Some(pictures);
        }
        let ended = process.0.try_wait().expect("a process");
        let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(ended.is_none() && Instant::now() < late, "{url}: {ended:?}\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn vlc_plays_mjpeg_and_rtsp() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(mut list) = vlc(folder.path()) else { return };
    let plays_rtsp = output(list.arg("--list")).contains("live555");
    // The pictures of VLC have multiples of 32 lines.
    let server = Server::streaming(&["front=sim:?size=320x192&fps=30&format=h264", "--rtsp", "0"]);
    let mjpeg = format!("http://127.0.0.1:{}/stream/front.mjpg", server.port);
    let rtsp = &server.rtsp[0];
    for (name, options, url) in
        [("mjpeg", &[][..], &mjpeg), ("tcp", &["--rtsp-tcp"], rtsp), ("udp", &["--no-rtsp-tcp"], rtsp)]
    {
        if url == rtsp && !plays_rtsp {
            println!("skipped: NOT CHECKED: VLC and RTSP: this VLC was built without live555");
            continue;
        }
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).expect("a folder");
        for folder in [&folder, folder.parent().expect("a folder")] {
            std::fs::set_permissions(folder, Permissions::from_mode(0o777)).expect("ours");
        }
        let Some(pictures) = shown(&folder, options, url) else { return };
        for picture in pictures {
            let picture = image::open(&picture).expect("a picture").into_rgb8();
            assert_eq!((picture.width(), picture.height()), (320, 192), "{name}");
            let (low, high) = picture.iter().fold((255, 0), |(low, high), value| (low.min(*value), high.max(*value)));
            assert!(high - low > 50, "{name}: a picture of one color");
        }
    }
}

#[test]
fn prometheus_accepts_the_metrics() {
    let Some(mut promtool) = program("promtool") else { return };
    // Every kind of series: names that need escapes, viewers, and a camera without frames.
    let server = Server::streaming(&["türe=sim:?size=64x48", "away=127.0.0.1:9"]);
    assert_eq!(server.get("/snapshot/t%C3%BCre.jpg").status, 200);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("metrics");
    let metrics = server.get("/metrics");
    assert!(metrics.text().contains("türe"), "{}", metrics.text());
    std::fs::write(&file, &metrics.body).expect("a file");
    // It ends with 3 if it finds a name or a help that is not as usual.
    output(promtool.args(["check", "metrics"]).stdin(std::fs::File::open(&file).expect("a file")));
}

#[test]
fn no_request_that_the_description_allows_or_forbids_is_an_error_of_the_server() {
    let Some(mut schemathesis) = program("schemathesis") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "correct-horse-battery").expect("a file");
    let recordings = folder.path().join("recordings");
    let server = Server::start(&["front=sim:?size=64x48", "--recordings", text(&recordings), "--token", text(&token)]);
    // A class that every frame has: a snapshot of another one is answered after 3 s.
    let events = crate::http::events(&server, &[("Authorization", BEARER)], 1);
    let class = events[0]["detections"][0]["label"].as_u64().expect("a label");
    let config = folder.path().join("schemathesis.toml");
    let parameters = format!("[parameters]\n\"path.camera\" = \"front\"\n\"query.crop\" = \"{class}\"\n");
    std::fs::write(&config, parameters).expect("a file");
    schemathesis.current_dir(folder.path()).env("NO_COLOR", "1").args(["--config-file", text(&config), "run"]);
    schemathesis.arg(format!("http://127.0.0.1:{}/api/openapi.json", server.port));
    schemathesis.args(["-H", &format!("Authorization: {BEARER}")]);
    // Streams do not end, and schemathesis writes no offers of WebRTC.
    schemathesis.args(["--exclude-path-regex", r"^/(stream|events)/|^/whep/[^/]+$"]);
    schemathesis.args(["--checks", "all"]);
    // The description does not have the names of classes, and a signed address cannot be signed again.
    schemathesis.args(["--exclude-checks", "positive_data_acceptance"]);
    schemathesis.args(["--max-examples", "10", "--seed", "1", "--generation-database", "none"]);
    output(&mut schemathesis);
    assert_eq!(server.ask("GET", "/healthz", &[]).status, 200);
}
