//! What the program says about streams that are damaged, incomplete, too fast, or not a camera's: the exit code and the
//! summary, over loopback TCP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oaktap::sim::{SimConfig, Stream};
use serde_json::Value;

use crate::program::{oaktap, run, signal};

const LEN: usize = 32 * 24 * 3;

/// The header of frame `n` of a camera with 40 frames per second.
fn header(n: u32) -> String {
    let us = 5_000_000 + 25_000 * n;
    format!("{:<32}", format!("IMG {}.{:06} {LEN} 0", us / 1_000_000, us % 1_000_000))
}

fn payload(n: u32) -> Vec<u8> {
    (0..LEN).map(|i| 40 + (i as u32 % 32 + i as u32 / 32 + 3 * n) as u8 % 200).collect()
}

fn frame(n: u32) -> Vec<u8> {
    [header(n).into_bytes(), payload(n)].concat()
}

/// Listens, calls `serve` with its only client, and then closes the connection.
fn camera_that(serve: impl FnOnce(&mut TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        drop(listener);
        serve(&mut client);
    });
    (address, thread)
}

/// Sends these bytes, then waits until the client has left.
fn sends(bytes: Vec<u8>) -> (SocketAddr, JoinHandle<()>) {
    camera_that(move |client| {
        // The client may leave early.
        let _ = client.write_all(&bytes);
        let _ = client.read(&mut [0; 16]);
    })
}

/// Receives `frames` frames of a stream with `detections`: exit code, lines of frames, summary of the camera.
fn detections(bytes: Vec<u8>, frames: usize, more: &[&str]) -> (i32, Vec<Value>, Value) {
    let (address, thread) = sends(bytes);
    let (address, frames) = (address.to_string(), frames.to_string());
    let args = [&["detections", &address, "--json", "--size", "32x24", "--frames", &frames], more].concat();
    let (code, out, err) = run(&args);
    thread.join().unwrap();
    let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let summary = lines.pop().unwrap_or_else(|| panic!("{err}"));
    (code, lines, summary["summary"]["cameras"][0].clone())
}

/// Forty frames; `damage` changes the header of frame 12 or what follows it.
fn forty(damage: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    (0..40).flat_map(|n| if n == 12 { damage(&header(n), payload(n)) } else { frame(n) }).collect()
}

#[test]
fn one_damaged_header_among_forty_is_a_loss_with_its_place() {
    let place = 12 * (32 + LEN as u64);
    type Damage = fn(&str, Vec<u8>) -> Vec<u8>;
    let kinds: [(&str, Damage); 5] = [
        ("letter", |header, payload| [header.replace("IMG", "IMX").into_bytes(), payload].concat()),
        ("digit", |header, payload| [header.replace("2304 0", "2x04 0").into_bytes(), payload].concat()),
        ("half", |header, payload| [header.as_bytes()[16..].to_vec(), payload].concat()),
        ("huge", |header, payload| {
            [header.replace("2304 0", "999999999 0").as_bytes()[..32].to_vec(), payload].concat()
        }),
        ("shorter", |header, payload| [header.replace("2304 0", "2004 0").into_bytes(), payload].concat()),
    ];
    for (name, damage) in kinds {
        let (code, lines, camera) = detections(forty(damage), 39, &[]);
        assert_eq!((code, lines.len(), &camera["lossless"]), (3, 39, &Value::Bool(false)), "{name}: {camera}");
        let first = &camera["first_damage"];
        let byte = first["byte"].as_u64().unwrap();
        assert!((place..place + 100_000).contains(&byte) && first["connection"] == 1, "{name}: {first}");
        assert!(camera["damaged_bytes"].as_u64().unwrap() > 1000, "{name}: {camera}");
    }
    let (code, _, camera) = detections(forty(|header, payload| [header.as_bytes(), &payload].concat()), 40, &[]);
    assert_eq!((code, &camera["lossless"], &camera["first_damage"]), (0, &Value::Bool(true), &Value::Null));
}

#[test]
fn unreadable_boxes_are_a_loss_and_records_of_unknown_kinds_are_not() {
    let text = b"1;50.0;0.1;0.1;0.2;nonsense";
    let bad = forty(|header, payload| {
        let header =
            format!("{:<32}", header.trim_end().strip_suffix("0").unwrap().to_owned() + &text.len().to_string());
        [header.as_bytes(), text, &payload].concat()
    });
    let (code, _, camera) = detections(bad, 40, &[]);
    assert_eq!((code, camera["bad_detections"].as_u64(), &camera["lossless"]), (3, Some(1), &Value::Bool(false)));
    let foreign =
        forty(|header, payload| [format!("{:<32}", "IMU 0.25 1.5").as_bytes(), header.as_bytes(), &payload].concat());
    let (code, _, camera) = detections(foreign, 40, &[]);
    assert_eq!((code, &camera["lossless"]), (0, &Value::Bool(true)), "{camera}");
}

#[test]
fn numbers_that_are_missing_are_a_loss_and_estimates_only_with_strict() {
    let numbered = |skip: u32| -> Vec<u8> {
        let message =
            |n: u32| [format!("{:<32}", format!("@F {n} {}", 5_000_000 + 25_000 * n)).into_bytes(), frame(n)].concat();
        (0..40).filter(|n| *n != skip).flat_map(message).collect()
    };
    assert_eq!(detections(numbered(99), 40, &["--strict"]).0, 0);
    let (code, _, camera) = detections(numbered(20), 39, &[]);
    assert_eq!(
        (code, camera["frames"]["missing"].as_u64(), camera["numbers"]["not_sent"].as_u64()),
        (3, Some(1), Some(1))
    );
    // Frames from a queue arrive together; paced ones have a rhythm.
    for (strict, expected) in [(&[][..], 0), (&["--strict"], 3)] {
        let (address, thread) = camera_that(|client| {
            let start = Instant::now();
            for n in (0..40).filter(|n| *n != 20) {
                // The pace is part of what is measured: a camera of 200 frames/s.
                std::thread::sleep(Duration::from_millis(u64::from(n) * 5).saturating_sub(start.elapsed()));
                let header = format!("{:<32}", format!("IMG 5.{:03} {LEN} 0", 5 * n));
                let _ = client.write_all(&[header.into_bytes(), payload(n)].concat());
            }
            let _ = client.read(&mut [0; 16]);
        });
        let address = address.to_string();
        let args = [&["detections", &address, "--json", "--size", "32x24", "--frames", "39"], strict].concat();
        let (code, out, _) = run(&args);
        thread.join().unwrap();
        let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        let camera = &summary["summary"]["cameras"][0];
        assert_eq!(
            (camera["frames"]["estimated"].as_u64(), &camera["lossless"]),
            (Some(1), &Value::Bool(true)),
            "{camera}"
        );
        assert_eq!(code, expected, "{strict:?}");
    }
}

#[test]
fn a_wrong_checksum_counts_with_junk_before_it() {
    let crc = crc32fast::hash(&payload(12));
    let checksum = |crc: u32| format!("{:<32}", format!("@E 12 {crc:08x}"));
    for (junk, crc, frames) in [
        (&b""[..], crc, 40),
        (b"", crc ^ 1, 39),
        (b"junk", crc, 40),
        (b"junk", crc ^ 1, 39),
        (&[0; 3000], crc ^ 1, 39),
        (b"IMU 0.25 1.5                    ", crc ^ 1, 39),
    ] {
        let stream = forty(|header, payload| {
            let number = format!("{:<32}", "@F 12 5300000");
            [number.as_bytes(), header.as_bytes(), &payload, junk, checksum(crc).as_bytes()].concat()
        });
        let (code, lines, camera) = detections(stream, frames, &[]);
        assert_eq!(lines.len(), frames, "{camera}");
        let is_clean = junk.is_empty() && frames == 40;
        assert_eq!(
            (code, camera["frames"]["withdrawn"].as_u64()),
            (if is_clean { 0 } else { 3 }, Some(40 - frames as u64))
        );
    }
}

#[test]
fn noise_that_is_skipped_until_we_stop_is_a_loss() {
    let (address, thread) = camera_that(|client| {
        client.write_all(&(0..3).flat_map(frame).collect::<Vec<_>>()).unwrap();
        // Until the client leaves.
        while client.write_all(&[0x55; 65_536]).is_ok() {}
    });
    let (code, out, err) =
        run(&["detections", &address.to_string(), "--json", "--size", "32x24", "--duration", "500ms"]);
    thread.join().unwrap();
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((code, &summary["summary"]["cameras"][0]["lossless"]), (3, &Value::Bool(false)), "{summary} {err}");
}

/// A reader that reads nothing until everything was sent.
#[test]
fn a_burst_is_kept_until_it_is_read() {
    const FRAMES: u32 = 3000;
    let (sent, all_sent) = mpsc::channel();
    let (address, thread) = camera_that(move |client| {
        (0..FRAMES).for_each(|n| client.write_all(&frame(n)).unwrap());
        sent.send(()).unwrap();
        let _ = client.read(&mut [0; 16]);
    });
    let count = FRAMES.to_string();
    let address = address.to_string();
    let mut child = oaktap(&["detections", &address, "--json", "--size", "32x24", "--frames", &count])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    all_sent.recv().unwrap();
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{:?}", lines.last());
    thread.join().unwrap();
    assert_eq!(lines.len(), FRAMES as usize + 1);
}

#[test]
fn streams_of_other_programs_are_named_as_such() {
    let wide: Vec<u8> = (0..8)
        .flat_map(|n| [format!("{:<32}", format!("IMG 12.{n:06} {LEN} 0 32 24")).into_bytes(), payload(n)].concat())
        .collect();
    let text = format!("{:<32}1.2|3.4|5.6|7.8|9.9|1.1", "HEAD 23").into_bytes();
    let jpeg = [&[0xff, 0xd8, 0xff, 0xe0][..], &[7; 5000]].concat();
    let json = b"{\"label\": 1, \"confidence\": 0.5}\n".repeat(20);
    for (name, bytes, quoted) in [
        ("IMG with width and height", wide, "IMG 12.000000 2304 0 32 24"),
        ("text", text, "HEAD 23"),
        ("JPEG", jpeg, "\\xff\\xd8\\xff\\xe0"),
        ("JSON", json, "{\"label\": 1"),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "SSH-2.0-OpenSSH_9.2"),
        ("RTSP", b"RTSP/1.0 400 Bad Request\r\n\r\n".to_vec(), "RTSP/1.0 400"),
        ("TLS", vec![0x15, 3, 3, 0, 2, 2, 40], "\\x15\\x03\\x03"),
        ("a few bytes", b"ok\n".to_vec(), "ok\\n"),
    ] {
        for holds in [true, false] {
            let bytes = bytes.clone();
            let (address, thread) = camera_that(move |client| {
                let _ = client.write_all(&bytes);
                if holds {
                    let _ = client.read(&mut [0; 16]);
                }
            });
            let (code, out, err) = run(&["detections", &address.to_string(), "--duration", "500ms"]);
            thread.join().unwrap();
            assert_eq!((code, out.as_str()), (1, ""), "{name}: {err}");
            let is_header = quoted.starts_with("IMG");
            assert!(err.contains("not a camera stream"), "{name}: {err}");
            assert_eq!(err.contains("invalid header"), is_header, "{name}: {err}");
            assert!(err.contains(quoted), "{name}: {err}");
            assert!(!err.contains("another client") && !err.contains("power-cycle"), "{name}: {err}");
        }
    }
}

#[test]
fn one_of_several_cameras_that_answers_wrongly_is_reported_and_tried_again() {
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let listening = format!("bad=listen://{}", held.local_addr().unwrap());
    let (address, thread) = camera_that(|client| {
        let _ = client.write_all(b"SSH-2.0-OpenSSH_9.6\r\n");
    });
    let ssh = format!("ssh={address}");
    let (code, out, err) = run(&["detections", "good=sim:?size=64x48", &listening, &ssh, "--duration", "1s"]);
    thread.join().unwrap();
    assert!(code == 1 && out.contains("\"camera\":\"good\""), "{code} {err}");
    assert!(err.contains("bad: cannot listen for the camera: "), "{err}");
    assert!(err.matches("; retrying every 10 s").count() == 2, "{err}");
    assert!(err.contains("2 of 3 cameras failed: bad, ssh"), "{err}");

    // Without another camera, the command ends at once.
    let held_too = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let other = format!("other=listen://{}", held_too.local_addr().unwrap());
    let (code, _, err) = run(&["detections", &listening, &other, "--duration", "600s"]);
    assert!(code == 1 && err.contains("2 of 2 cameras failed: bad, other"), "{code} {err}");
}

#[test]
fn duration_and_interrupts_end_a_flood() {
    for interrupt in [false, true] {
        let (address, thread) = camera_that(|client| {
            let tiny = format!("{:<32}x", "IMG 1.0 1 0").into_bytes().repeat(2000);
            while client.write_all(&tiny).is_ok() {}
        });
        let address = address.to_string();
        let duration: &[&str] = if interrupt { &[] } else { &["--duration", "300ms"] };
        let mut child = oaktap(&[&["detections", &address], duration].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut String::new()).unwrap();
        if interrupt {
            signal(&child, "INT");
        }
        let asked = Instant::now();
        out.read_to_end(&mut Vec::new()).unwrap();
        child.wait().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(10), "interrupt: {interrupt}, after {:?}", asked.elapsed());
        thread.join().unwrap();
    }
}

/// A JPEG without its end is known without decoding it, so commands that do not decode count it, too.
#[test]
fn jpegs_that_end_early_are_a_loss_in_every_command() {
    let config: SimConfig = "size=64x48&format=JPEG".parse().unwrap();
    let mut camera = Stream::new(&config).unwrap();
    let whole: Vec<Vec<u8>> = std::iter::repeat_with(|| camera.turn().truth.payload.to_vec()).take(12).collect();
    // The scan begins after its segment, whose length follows the marker.
    let scan_at = |jpeg: &[u8]| {
        let marker = jpeg.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
        marker + 2 + usize::from(u16::from_be_bytes([jpeg[marker + 2], jpeg[marker + 3]]))
    };
    type Damage = fn(&[u8], usize) -> Vec<u8>;
    let kinds: [(&str, Damage); 4] = [
        ("half", |jpeg, scan| jpeg[..scan + (jpeg.len() - scan) / 2].to_vec()),
        ("without its end marker", |jpeg, _| jpeg[..jpeg.len() - 2].to_vec()),
        ("without pixels", |jpeg, scan| [&jpeg[..scan], &[0xff, 0xd9]].concat()),
        ("half of its headers", |jpeg, scan| jpeg[..scan / 2].to_vec()),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (number, (what, damage)) in kinds.into_iter().enumerate() {
        let stream = || {
            let frame = |(n, jpeg): (usize, &Vec<u8>)| {
                let jpeg = if n % 4 == 1 { damage(jpeg, scan_at(jpeg)) } else { jpeg.clone() };
                let header = format!("{:<32}", format!("IMG {}.{:06} {} 0", 5, 25_000 * n, jpeg.len()));
                [header.into_bytes(), jpeg].concat()
            };
            whole.iter().enumerate().map(frame).collect::<Vec<_>>().concat()
        };
        let recording = folder.path().join(format!("{number}.mcap"));
        for command in [&["detections"][..], &["view", "--no-window"], &["record", "-o", recording.to_str().unwrap()]] {
            let (address, thread) = sends(stream());
            let address = address.to_string();
            let args = [&[command[0], &address, "--json", "--frames", "11"], &command[1..]].concat();
            let (code, out, err) = run(&args);
            thread.join().unwrap();
            let summary: Value = serde_json::from_str(out.lines().last().unwrap_or_else(|| panic!("{err}"))).unwrap();
            let camera = &summary["summary"]["cameras"][0];
            assert_eq!((code, camera["bad_pictures"].as_u64()), (3, Some(3)), "{command:?} {what}: {err}");
            let place = camera["first_damage"]["what"].as_str().unwrap();
            assert!(place.starts_with("JPEG "), "{what}: {place}");
        }
        let (code, _, err) = run(&["replay", recording.to_str().unwrap(), "--no-window", "--speed", "max"]);
        assert_eq!(code, 3, "{what}: {err}");
    }
}

#[test]
fn a_label_of_only_that_no_table_has_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    let pictures = pictures.to_str().unwrap();
    let camera = "sim:?size=64x48&records=off&fps=200";
    let commands = [
        &["detections", camera, "-n", "3"][..],
        &["view", camera, "--no-window", "-n", "3"],
        &["snapshot", camera, "-o", pictures],
    ];
    for command in commands {
        let (code, _, err) = run(&[command, &["--only", "piza"]].concat());
        let expected = "no label is named `piza`, so `--only piza` selects nothing; did you mean `pizza`?";
        assert!(code == 3 && err.matches(expected).count() == 1, "{command:?}: {code} {err}");
        let (code, _, err) = run(&[command, &["--only", "pizza"]].concat());
        assert!(code == 0 && !err.contains("no label"), "{command:?}: {code} {err}");
    }
    // The names of the user replace those of COCO.
    let labels = folder.path().join("labels.txt");
    std::fs::write(&labels, "forklift\nhelmet\n").unwrap();
    let args = ["detections", camera, "-n", "3", "--labels", labels.to_str().unwrap(), "--only"];
    let (code, _, err) = run(&[&args[..], &["forklit"]].concat());
    assert!(code == 3 && err.contains("did you mean `forklift`?"), "{code} {err}");
    let (code, _, err) = run(&[&args[..], &["Helmet"]].concat());
    assert_eq!(code, 0, "{err}");
}

#[test]
fn snapshots_are_png_files_only() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.gif", "a.JPG", "a.tiff", "a.mp4"] {
        let path = folder.path().join(name);
        let (code, _, err) = run(&["snapshot", "sim:?size=64x48", "-o", path.to_str().unwrap()]);
        assert!(code == 2 && err.contains("expected `-o FILE.png` or a folder") && err.contains(name), "{err}");
        assert!(!path.exists());
    }
}

/// A camera is recognized even if there is no memory for any of its frames.
#[test]
fn frames_that_exceed_the_memory_are_dropped_and_the_bound_is_named() {
    let bytes = (0..400).flat_map(frame).collect::<Vec<u8>>();
    let (address, thread) = sends(bytes.clone());
    let (code, out, err) = run(&["detections", &address.to_string(), "--buffer", "1kB", "--duration", "1s", "-q"]);
    thread.join().unwrap();
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("--buffer is too small") && !err.contains("not a camera"), "{err}");

    let (code, frames, summary) = detections(bytes, 400, &["--buffer", "1MB"]);
    assert_eq!((code, frames.len(), &summary["frames"]["lost"]), (0, 400, &0.into()), "{summary}");
}
