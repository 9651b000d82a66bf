//! Applications whose Script runs in a simulated camera: packed, booted and received.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use oaktap::device::app::{App, Fit, Model, Size, Transport};
use oaktap::device::pipeline::{self, Firmware};
use oaktap::device::script;
use oaktap::sim::bootloader::{Activity, CameraConfig, CameraSimulator, Place};
use oaktap::sim::{Reel, SimConfig};

use crate::program::{oaktap, run};
use crate::script_node::Client;

const LIMIT: Duration = Duration::from_secs(60);

/// A model that receives the whole picture with bars at its sides, and has two classes.
fn app() -> App {
    let mut model = Model::new("m.blob");
    (model.labels, model.fit) = (vec!["person".to_owned(), "car".to_owned()], Fit::Letterbox);
    model.input = Some(Size::new(64, 64));
    App { name: "door".to_owned(), size: Size::new(64, 48), fps: 60.0, model: Some(model), ..App::default() }
}

/// Writes its package to a file, optionally with another Script.
fn package(folder: &tempfile::TempDir, app: &App, text: Option<&str>) -> PathBuf {
    let checked = app.check(None).expect("it can be built");
    let ours = script::text(&checked);
    let firmware = Firmware { image: b"MA2x simulated".to_vec(), commit: "simulated".to_owned() };
    let blob = app.model.as_ref().map(|_| &b"a network"[..]);
    let bytes = pipeline::package(&checked, blob, text.unwrap_or(&ours), firmware, false).expect("a package");
    let path = folder.path().join("app.dap");
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// A camera that boots this package.
fn camera(text: &str, package: PathBuf) -> CameraSimulator {
    let mut config: CameraConfig = text.parse().expect(text);
    config.application = Some(package);
    CameraSimulator::start(config, &[Place::free_ports(Ipv4Addr::LOCALHOST)]).expect("a camera")
}

/// Waits for its stream.
fn stream(camera: &CameraSimulator) -> Client {
    let port = camera.places()[0].stream;
    let until = Instant::now() + LIMIT;
    loop {
        if let Ok(socket) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            return Client::new(socket);
        }
        assert!(Instant::now() < until, "timed out connecting to port {port}");
        std::thread::yield_now();
    }
}

#[test]
fn a_booted_package_streams_the_pictures_of_the_sensor() {
    let folder = tempfile::tempdir().expect("a folder");
    let camera = camera("state=application&id=194430104193&boxes=4&size=8x8", package(&folder, &app(), None));
    let mut client = stream(&camera);
    let scene: SimConfig = "size=64x48&fps=60&boxes=4".parse().expect("a configuration");
    let reel = Reel::new(&scene).expect("pictures");
    for turn in 0..5 {
        let frame = client.next().expect("a frame");
        if turn == 0 {
            let said = format!("{:?}", client.records);
            assert!(said.contains("app: \"door\"") && said.contains("DeviceId(\"194430104193\")"), "{said}");
        }
        let still = reel.still(frame.camera_seq.expect("it has a number"));
        assert_eq!(frame.payload(), &still.payload[..]);
        assert_eq!(frame.detections.len(), still.detections.len());
        // The network received the picture with bars: the boxes are mapped back.
        for (found, truth) in frame.detections.iter().zip(still.detections.iter()) {
            assert_eq!(found.label, truth.label % 2);
            assert!((found.bbox.ymin - truth.bbox.ymin).abs() < 2e-4, "{found:?} instead of {truth:?}");
            assert!((found.bbox.xmax - truth.bbox.xmax).abs() < 2e-4, "{found:?} instead of {truth:?}");
        }
    }
    // The camera restarts, and its stream ends with the restart.
    let reset = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let place = camera.places()[0];
    let question = oaktap::discovery::Query::Reset.to_bytes();
    reset.send_to(&question, (place.ip, place.discovery)).expect("it is sent");
    // Possibly in the middle of a frame.
    std::io::copy(&mut client.socket, &mut std::io::sink()).expect("its end");
    assert!(camera.wait_until(LIMIT, |camera| matches!(camera.activity(), Activity::Bootloader)));
}

#[test]
fn foreign_scripts_are_not_run() {
    let folder = tempfile::tempdir().expect("a folder");
    // The simulated camera's network is that of this computer.
    let host = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = host.local_addr().expect("an address").port();
    let foreign =
        format!("import socket\nsocket.create_connection(('127.0.0.1', {port}))\nimport time\ntime.sleep(1000)");
    let package = package(&folder, &app(), Some(&foreign));
    let refusing = camera("state=application&size=64x48&records=on", package.clone());
    // The simulator's own stream, without the foreign Script.
    let mut client = stream(&refusing);
    client.next().expect("a frame");
    assert!(!format!("{:?}", client.records).contains("door"));
    drop(refusing);
    host.set_nonblocking(true).expect("a setting");
    assert!(host.accept().is_err(), "the foreign Script was run");
    host.set_nonblocking(false).expect("a setting");
    let _camera = camera("state=application&scripts=any", package);
    host.accept().expect("it is run");
}

#[test]
fn a_camera_in_client_mode_connects_to_its_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = host.local_addr().expect("an address").port();
    let app = App { host: Some(Ipv4Addr::LOCALHOST), port, ..app() };
    let camera = camera("state=application", package(&folder, &app, None));
    for _ in 0..2 {
        let mut client = Client::new(host.accept().expect("it comes, again and again").0);
        assert!(client.next().is_some());
    }
    drop(camera);
}

#[test]
fn simulate_runs_the_given_package() {
    let folder = tempfile::tempdir().expect("a folder");
    let foreign = "import socket
server = socket.create_server(('0.0.0.0', 9876))
connection, _ = server.accept()
while True:
    picture = node.io['frame'].get().getData()
    connection.sendall((b'IMG 1.0 %d 0' % len(picture)).ljust(32) + bytes(picture))
";
    for text in [None, Some(foreign)] {
        let package = package(&folder, &app(), text);
        let package = package.to_str().expect("UTF-8");
        let mut camera = oaktap(&["simulate", "--app", package, "--listen", "127.0.0.1:0", "--boxes", "2"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(camera.stderr.take().expect("a pipe")).lines();
        let said = lines.next().expect("a line").expect("UTF-8");
        let at = said.strip_prefix("listening on ").expect(&said);
        let (code, out, err) = run(&["detections", at, "--frames", "2", "-v"]);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("\"format\":\"BGR888p\"") && out.lines().count() == 2, "{out}\n{err}");
        assert_eq!(out.contains("\"camera_seq\"") && err.contains("64x48"), text.is_none(), "{out}\n{err}");
        camera.kill().expect("it runs");
        camera.wait().expect("it ends");
    }
}

#[test]
fn simulate_runs_a_package_that_sends_datagrams() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let datagrams = App { host: Some(Ipv4Addr::LOCALHOST), port: address.port(), transport: Transport::Udp, ..app() };
    let package = package(&folder, &datagrams, None);
    let package = package.to_str().expect("UTF-8");
    let (_, said, _) = run(&["inspect", package]);
    assert!(said.contains(&format!("the camera sends datagrams to {address}")), "{said}");
    let mut camera = oaktap(&["simulate", "--app", package, "--listen", "127.0.0.1:0", "--boxes", "2", "-q"])
        .spawn()
        .expect("the program starts");
    // The description of the camera is repeated, so the application is recognized whenever a host begins to listen.
    let source = format!("udp://{address}");
    let (code, out, err) = run(&["detections", &source, "--frames", "150", "--expect", package, "--json"]);
    camera.kill().and_then(|()| camera.wait()).expect("it ran");
    let summary: serde_json::Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
    let camera = &summary["summary"]["cameras"][0];
    assert!([0, 3].contains(&code) && camera["introduction"]["app"] == "door", "{code}: {err}");
    assert_eq!((&camera["datagrams"]["invalid"], &camera["datagrams"]["restarts"]), (&0.into(), &0.into()), "{camera}");
    assert!(out.contains("\"name\":\"car\""), "{out}");
}

#[test]
fn simulate_reports_why_a_package_cannot_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = package(&folder, &app(), Some("import nothing_like_this"));
    let broken = broken.to_str().expect("UTF-8");
    let at = |listen: &str, more: &[&str]| run(&[&["simulate", "--listen", listen, "--app"], more].concat());
    let simulate = |more: &[&str]| at("127.0.0.1:0", more);
    let (code, _, err) = simulate(&[broken]);
    assert!(code == 1 && err.contains("No module named 'nothing_like_this'"), "{err}");
    for (more, says) in [
        (&[broken, "--count", "2"][..], "--app simulates one camera"),
        (&[broken, "--frames", "2"], "--app cannot be used with --frames"),
        (&[broken, "--fault", "cut:0.1"], "--fault has no effect on "),
        (&[broken, "--fps", "5"], "--fps has no effect on "),
    ] {
        let (code, _, err) = simulate(more);
        assert!(code == 2 && err.contains(says), "{more:?}: {err}");
    }
    let (code, _, err) = at("[::1]:0", &[broken]);
    assert!(code == 2 && err.contains("IPv4"), "{err}");
    let (code, _, err) = simulate(&["/nowhere/app.dap"]);
    assert!(code == 1 && err.contains("/nowhere/app.dap"), "{err}");
    let app = package(&folder, &app(), None);
    let without = oaktap(&["simulate", "--listen", "127.0.0.1:0", "--app"])
        .arg(app)
        .env("PATH", folder.path())
        .output()
        .expect("the program starts");
    let err = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(!without.status.success() && err.contains("cannot find `python3`"), "{err}");
}
