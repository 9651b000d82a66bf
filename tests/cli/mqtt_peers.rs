//! MQTT with mosquitto as the broker and as the publisher.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::broker::{broker, is_missing, start};
use crate::external_tools::{free_port, system};
use crate::program::{Running, oaktap, run, signal};

/// Makes the certificate of a broker, `cert.pem`, and its key, `key.pem`.
pub(crate) fn certificate(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker"]);
    let made = openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(folder).output();
    assert!(made.expect("it starts").status.success());
}

/// A JPEG file with a size of its own: `number` is in its picture.
fn picture(folder: &Path, number: usize, bytes: usize) -> String {
    let mut file = vec![0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0, 0xff, 0xda, 0, 2];
    file.extend((0..bytes).map(|n| ((n + number) % 200) as u8));
    file.extend([0xff, 0xd9]);
    let path = folder.join(format!("{number}.jpg"));
    std::fs::write(&path, file).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

fn publish(port: u16, topic: &str, more: &[&str]) -> Command {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", topic]).args(more);
    command
}

fn published(port: u16, topic: &str, more: &[&str]) {
    assert!(publish(port, topic, more).status().expect("it starts").success());
}

/// `oaktap detections` with these arguments, and its lines.
fn detections(args: &[&str]) -> (Running, BufReader<ChildStdout>) {
    let args = [&["detections"], args, &["--duration", "60s"]].concat();
    let mut child = oaktap(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = child.stderr.take().expect("it is piped");
    std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    (Running(child), out)
}

fn next(out: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    out.read_line(&mut line).expect("UTF-8");
    line
}

#[test]
fn pictures_arrive_with_password_and_tls_and_refusals_are_explained() {
    if is_missing() || system("openssl").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    certificate(at);
    let users = at.join("users");
    let made = Command::new("mosquitto_passwd").arg("-b").arg("-c").arg(&users).args(["me", "se:cret"]).output();
    assert!(made.expect("it starts").status.success());
    let (protected, tls) = (free_port(), free_port());
    let here = at.display();
    let (_broker, plain) = broker(at, &|| {
        format!(
            "listener {protected} 127.0.0.1\nallow_anonymous false\npassword_file {here}/users\n\
             listener {tls} 127.0.0.1\nallow_anonymous true\ncertfile {here}/cert.pem\nkeyfile {here}/key.pem\n"
        )
    });
    let file = picture(at, 1, 1000);
    published(plain, "cameras/front", &["-r", "-f", &file]);
    for (url, topic) in [
        (format!("mqtt://127.0.0.1:{plain}"), "cameras/front"),
        (format!("mqtt://127.0.0.1:{plain}"), "cameras/+"),
        (format!("mqtt://127.0.0.1:{plain}"), "#"),
        (format!("mqtt://me:se%3Acret@127.0.0.1:{protected}"), "cameras/front"),
        (format!("mqtts://127.0.0.1:{tls}"), "cameras/##insecure"),
    ] {
        let url = format!("{url}/{topic}");
        let (code, out, err) = run(&["detections", &url, "--frames", "1", "--duration", "30s"]);
        assert!(
            code == 0 && out.contains("\"format\":\"JPEG\"") && out.contains("\"stale\":true"),
            "{url}: {out}{err}"
        );
        assert!(!err.contains("cret"), "{err}");
    }
    for (url, text) in [
        (format!("mqtts://127.0.0.1:{tls}/x"), "mqtts://BROKER/TOPIC#insecure"),
        (format!("mqtts://127.0.0.1:{plain}/x#insecure"), "instead of mqtts://"),
        (format!("mqtt://127.0.0.1:{protected}/x"), "a user name and a password are required"),
        (format!("mqtt://me:wrong@127.0.0.1:{protected}/x"), "not authorized"),
        (format!("mqtt://127.0.0.1:{tls}/x"), "instead of mqtt://"),
        (format!("mqtt://127.0.0.1:{}/x", free_port()), "`mosquitto -p 1883` starts one"),
    ] {
        let (code, _, err) = run(&["detections", &url, "--duration", "2s"]);
        assert!(code != 0 && err.contains(text) && !err.contains("wrong"), "{url}: {err}");
    }
}

#[test]
fn a_retained_picture_of_1_mb_is_received_once_also_after_the_broker_restarts() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (mut process, port) = broker(folder.path(), &String::new);
    let old = picture(folder.path(), 1, 1_000_000);
    published(port, "cam", &["-r", "-f", &old, "-q", "1"]);
    let (_oaktap, mut out) = detections(&[&format!("mqtt://127.0.0.1:{port}/cam")]);
    let line = next(&mut out);
    assert!(
        line.contains("\"seq\":0,") && line.contains("\"stale\":true") && line.contains("\"bytes\":1000021"),
        "{line}"
    );
    for restart in 1..=2 {
        signal(&process.0, "TERM");
        process.0.wait().expect("it ends");
        // It has saved the retained picture. Its port may need a moment to be free.
        process = std::iter::repeat_with(|| start(folder.path(), port, "")).flatten().next().expect("a broker");
        let new = picture(folder.path(), 1 + restart, 100_000 + restart);
        // Not retained, so it arrives only while oaktap is subscribed.
        let many = ["--repeat", "1000", "--repeat-delay", "0.1", "-f", &new];
        let _publisher = Running(publish(port, "cam", &many).spawn().expect("it starts"));
        loop {
            let line = next(&mut out);
            assert!(
                line.contains("\"bytes\":1000") && !line.contains("stale") && !line.contains("\"bytes\":1000021"),
                "{line}"
            );
            if line.contains(&format!("\"bytes\":{},", 100_021 + restart)) {
                break;
            }
        }
    }
}

#[test]
fn twenty_topics_are_twenty_cameras() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    for number in 0..20 {
        let file = picture(folder.path(), number, 1000 + number);
        published(port, &format!("cameras/{number}"), &["-r", "-f", &file]);
    }
    let urls: Vec<String> =
        (0..20).map(|number| format!("cam{number}=mqtt://127.0.0.1:{port}/cameras/{number}")).collect();
    let args: Vec<&str> = urls.iter().map(String::as_str).collect();
    let (code, out, err) = run(&[&["detections"], &args[..], &["--frames", "1", "--duration", "60s"]].concat());
    assert_eq!(code, 0, "{err}");
    for number in 0..20 {
        let expected = |line: &&str| {
            line.contains(&format!("\"camera\":\"cam{number}\""))
                && line.contains(&format!("\"bytes\":{},", 1021 + number))
        };
        assert_eq!(out.lines().filter(expected).count(), 1, "{number}: {out}");
    }
}

#[test]
fn messages_of_each_quality_of_service_arrive_once() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    published(port, "cam", &["-r", "-f", &picture(folder.path(), 0, 10)]);
    let (_oaktap, mut out) = detections(&[&format!("mqtt://127.0.0.1:{port}/cam"), "--frames", "91"]);
    assert!(next(&mut out).contains("\"stale\":true"), "it is subscribed");
    for quality in ["0", "1", "2"] {
        let file = picture(folder.path(), 1, 2000 + quality.parse::<usize>().expect("a number"));
        published(port, "cam", &["-q", quality, "--repeat", "30", "-f", &file]);
    }
    let lines: Vec<String> = (0..90).map(|_| next(&mut out)).collect();
    for bytes in [2021, 2022, 2023] {
        let found = lines.iter().filter(|line| line.contains(&format!("\"bytes\":{bytes},"))).count();
        assert_eq!(found, 30, "{bytes}: {lines:?}");
    }
    assert_eq!(next(&mut out), "", "the end after 91 frames");
}

/// Memory of a process at its peak, in bytes.
#[cfg(target_os = "linux")]
fn peak(process: &Child) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches("kB").trim().parse::<usize>().expect("a number") << 10
}

/// Sends 600 MB in pictures of 2 MB, and then announces 60 MB of which little arrives.
#[cfg(target_os = "linux")]
#[test]
fn a_broker_that_sends_without_an_end_takes_no_more_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let args = ["detections", &format!("mqtt://127.0.0.1:{port}/cam"), "--buffer", "64MiB", "--duration", "60s"];
    let child = oaktap(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let oaktap = Running(child);
    let (mut client, _) = listener.accept().expect("a client");
    client.write_all(&[0x20, 2, 0, 0, 0x90, 3, 0, 1, 2]).expect("it reads");
    let mut body = b"\0\x03cam\xff\xd8\xff".to_vec();
    body.resize(2 << 20, 7);
    // 2 MiB as MQTT writes it.
    let message = [&[0x30, 0x80, 0x80, 0x80, 0x01][..], &body].concat();
    let mut peaks = Vec::new();
    for number in 0..300 {
        client.write_all(&message).expect("it reads");
        if number % 100 == 99 {
            peaks.push(peak(&oaktap.0));
        }
    }
    client.write_all(&[0x30, 0x80, 0x80, 0x80, 0x1c, 0, 3]).expect("it reads");
    peaks.push(peak(&oaktap.0));
    assert!(peaks[3] < peaks[0] + (16 << 20) && peaks[3] < 256 << 20, "{peaks:?}");
}

#[test]
fn numbers_are_printed_recorded_and_played_again() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    // As the official example publishes it, but retained.
    published(port, "test_topic/detections", &["-r", "-q", "2", "-m", "1.97"]);
    let url = format!("mqtt://127.0.0.1:{port}/test_topic/detections");
    let (code, out, err) = run(&["detections", &url, "--duration", "2s"]);
    let ends = "\"topic\":\"test_topic/detections\",\"value\":1.97,\"stale\":true}\n";
    assert!(code == 0 && out.lines().count() == 1 && out.contains("\"seq\":0,") && out.ends_with(ends), "{out}{err}");

    let picture = folder.path().join("gray.jpg");
    image::GrayImage::new(16, 8).save(&picture).expect("a file");
    published(port, "cam/a", &["-r", "-f", picture.to_str().expect("UTF-8")]);
    published(port, "cam/count", &["-r", "-m", "-3"]);
    let file = folder.path().join("x.mcap");
    let file = file.to_str().expect("UTF-8");
    let front = format!("front=mqtt://127.0.0.1:{port}/cam/#");
    let (_, _, err) = run(&["record", &front, "-o", file, "--duration", "2s"]);
    let (code, out, _) = run(&["verify", file]);
    assert!(code == 0, "{out}{err}");
    let (_, out, _) = run(&["inspect", file, "--json"]);
    let numbers = r#""measurements":{"cam/count":{"count":1,"min":-3.0,"max":-3.0,"last":-3.0}}"#;
    assert!(out.contains(numbers), "{out}");
    let (_, out, _) = run(&["inspect", file]);
    assert!(out.contains("cam/count: 1 number, -3 to -3, last -3"), "{out}");
    let folder_path = folder.path();
    for format in ["csv", "jsonl", "parquet"] {
        let table = folder_path.join(format!("x.{format}"));
        let (code, _, err) = run(&["export", file, "-o", table.to_str().expect("UTF-8")]);
        assert!(
            code == 0 && err.contains("1 of 1 frame of the recording exported") && err.contains("1 measurement in"),
            "{err}"
        );
    }
    let read = |name: &str| std::fs::read_to_string(folder_path.join(name)).expect("UTF-8");
    let csv = read("x-measurements.csv");
    let rows: Vec<&str> = csv.lines().collect();
    assert!(
        rows.len() == 2
            && rows[0] == "camera,topic,arrival_unix_ns,value,stale"
            && rows[1].starts_with("front,cam/count,1")
            && rows[1].ends_with(",-3.0,true"),
        "{csv}"
    );
    let json: serde_json::Value = serde_json::from_str(&read("x-measurements.jsonl")).expect("one line");
    let found = [&json["camera"], &json["topic"], &json["value"], &json["stale"]].map(ToString::to_string);
    assert_eq!(found, ["\"front\"", "\"cam/count\"", "-3.0", "true"]);
    let parquet = std::fs::read(folder_path.join("x-measurements.parquet")).expect("a file");
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    let pictures = folder_path.join("pictures");
    let (_, _, err) = run(&["export", file, "--to", "jpeg", "-o", pictures.to_str().expect("UTF-8")]);
    assert!(err.contains("1 measurement not exported"), "{err}");
    let copy = folder.path().join("copy.mcap");
    let copy = copy.to_str().expect("UTF-8");
    let (code, out, err) = run(&["recover", file, "-o", copy]);
    assert!(code == 0 && !format!("{out}{err}").contains("left out"), "{out}{err}");
    let (code, out, err) = run(&["detections", &format!("file:{copy}?speed=max")]);
    let count = |text: &str| out.lines().filter(|line| line.contains(text)).count();
    let found = [
        count("\"topic\":\"cam/count\",\"value\":-3.0,\"stale\":true"),
        count("\"format\":\"JPEG\""),
        out.lines().count(),
    ];
    assert!(code == 0 && found == [1, 1, 2], "{out}{err}");
}

#[test]
fn a_camera_of_numbers_alone_is_recorded_and_exported() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    for (topic, value) in [("door/a", "1"), ("door/b", "-2.5"), ("door/=c", "1e3")] {
        published(port, topic, &["-r", "-m", value]);
    }
    let file = folder.path().join("door.mcap");
    let file = file.to_str().expect("UTF-8");
    let (code, out, err) =
        run(&["record", &format!("door=mqtt://127.0.0.1:{port}/door/#"), "-o", file, "--duration", "2s", "--json"]);
    assert!(code == 0 && err.contains("0 frames and 3 measurements in") && !err.contains("no frame"), "{err}");
    assert!(out.contains("\"measurements\":3,\"damage\"") && out.contains("\"complete\":true"), "{out}");
    let table = folder.path().join("door.csv");
    let (code, out, err) = run(&["export", file, "-o", table.to_str().expect("UTF-8"), "--json"]);
    assert!(code == 0 && out.contains("\"measurements\":3,"), "{out}{err}");
    let rows = std::fs::read_to_string(folder.path().join("door-measurements.csv")).expect("UTF-8");
    assert_eq!(rows.lines().count(), 4, "{rows}");
    assert!(rows.contains("\ndoor,door/=c,") && rows.contains(",-2.5,true\n"), "{rows}");
    let video = folder.path().join("door.mp4");
    let (code, _, err) = run(&["export", file, "-o", video.to_str().expect("UTF-8")]);
    assert!(code == 1 && err.contains("no frame to export, only 3 measurements") && err.contains("--to csv"), "{err}");
}

#[test]
fn a_retained_picture_is_saved_and_named_as_such() {
    if is_missing() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (_broker, port) = broker(folder.path(), &String::new);
    let jpeg = folder.path().join("x.jpg");
    image::RgbImage::from_pixel(8, 8, image::Rgb([200, 10, 10])).save(&jpeg).expect("a picture");
    published(port, "cam", &["-r", "-f", jpeg.to_str().expect("UTF-8")]);
    let png = folder.path().join("x.png");
    let (code, out, err) =
        run(&["snapshot", &format!("mqtt://127.0.0.1:{port}/cam"), "-o", png.to_str().expect("UTF-8"), "-d", "20s"]);
    assert!(code == 0 && out.trim().ends_with("x.png") && err.contains("the broker had retained it"), "{out}{err}");
    let saved = image::open(&png).expect("a picture");
    assert_eq!((saved.width(), saved.height()), (8, 8));
}
