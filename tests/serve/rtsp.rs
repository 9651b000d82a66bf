//! Cameras for players: ffmpeg and OpenCV read them over TCP and UDP.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use oaktap::frame::PayloadKind;
use oaktap::sim::{SimConfig, Stream};
use serde_json::Value;

use crate::external_tools::{output, python, system};
use crate::server::Server;
use crate::video::encoded;

const H264: &str = "size=320x176&fps=30&format=h264&seed=9&records=off";

/// The units of H.264 or H.265 between start codes.
fn units(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut starts: Vec<usize> = (3..=stream.len()).filter(|at| stream[at - 3..*at] == [0, 0, 1]).collect();
    starts.push(stream.len() + 3);
    let unit = |pair: &[usize]| {
        let unit = &stream[pair[0]..pair[1] - 3];
        unit[..unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)].to_vec()
    };
    starts.windows(2).map(unit).collect()
}

/// The units of each frame that the camera sends.
fn camera(config: &str, frames: usize) -> Vec<Vec<Vec<u8>>> {
    let mut stream = Stream::new(&config.parse::<SimConfig>().expect(config)).expect(config);
    (0..frames).map(|_| units(&stream.turn().truth.payload)).collect()
}

/// ffmpeg that reads a camera.
fn ffmpeg(transport: &str, url: &str) -> Option<Command> {
    let mut ffmpeg = system("ffmpeg")?;
    ffmpeg.args(["-v", "error", "-xerror", "-rtsp_transport", transport, "-i", url]);
    Some(ffmpeg)
}

/// The counts of the players of the first camera, when the server has ended.
fn players(server: Server) -> Value {
    let (code, lines, err) = server.stop();
    // On a busy machine the simulated camera leaves out frames.
    assert!([0, 3].contains(&code), "{err}");
    let viewers = lines[0]["viewers"][0]["viewers"].as_array().expect("a list");
    let players = viewers.iter().find(|viewers| viewers["kind"] == "rtsp").expect("players").clone();
    let [offered, sent, superseded, pending] =
        ["offered", "sent", "superseded", "pending"].map(|name| players[name].as_u64().expect("a number"));
    assert_eq!(offered, sent + superseded + pending, "{players}");
    assert!(err.contains("front: rtsp by "), "{err}");
    players
}

/// Frames that ffmpeg stored are frames of the camera, each later than the one before.
fn assert_untouched(config: &str, stored: &Path, at_least: usize) {
    let all = camera(config, 900);
    let stored = units(&std::fs::read(stored).expect("a file"));
    let (mut rest, mut at, mut complete) = (&stored[..], 0, 0);
    while let Some(number) = (at..all.len()).find(|number| rest.starts_with(&all[*number])) {
        rest = &rest[all[number].len()..];
        (at, complete) = (number + 1, complete + 1);
        if rest.is_empty() {
            break;
        }
    }
    assert!(rest.is_empty() && complete >= at_least, "{complete} frames, then {} other units", rest.len());
}

#[test]
fn ffmpeg_gets_the_bytes_of_an_h264_camera() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::streaming(&[&format!("front=sim:?{H264}"), "--rtsp", "0"]);
    for transport in ["tcp", "udp"] {
        let stored = folder.path().join(transport).with_extension("h264");
        let Some(mut ffmpeg) = ffmpeg(transport, &server.rtsp[0]) else { return };
        output(ffmpeg.args(["-c", "copy", "-frames:v", "70", "-f", "h264"]).arg(&stored));
        // Two key frames at least, with their parameter sets.
        assert_untouched(H264, &stored, 70);
    }
    let players = players(server);
    assert!(players["viewers_total"] == 2 && players["sent"].as_u64() >= Some(140), "{players}");
}

#[test]
fn gstreamer_gets_the_bytes_of_an_h264_camera() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::streaming(&[&format!("front=sim:?{H264}"), "--rtsp", "0"]);
    for transport in ["tcp", "udp"] {
        let stored = folder.path().join(transport).with_extension("h264");
        let Some(mut gstreamer) = system("gst-launch-1.0") else { return };
        let source = [&format!("location={}", server.rtsp[0]), &format!("protocols={transport}"), "latency=0"];
        gstreamer.args(["-q", "rtspsrc"]).args(source).args(["!", "rtph264depay", "!"]);
        gstreamer.args(["video/x-h264,stream-format=byte-stream,alignment=au", "!", "identity", "eos-after=70", "!"]);
        output(gstreamer.arg("filesink").arg(format!("location={}", stored.display())));
        // GStreamer begins with the parameter sets of the description; those of the first key frame follow.
        let all = units(&std::fs::read(&stored).expect("a file"));
        assert_eq!(all[..2], all[2..4]);
        std::fs::write(&stored, all[2..].iter().fold(Vec::new(), |file, unit| [&file, &[0, 0, 1][..], unit].concat()))
            .expect("a file");
        assert_untouched(H264, &stored, 69);
    }
    players(server);
}

#[test]
fn names_with_other_letters_are_read_as_printed_and_as_typed() {
    let server = Server::streaming(&[&format!("türe.1=sim:?{H264}"), "--rtsp", "0"]);
    let printed = &server.rtsp[0];
    let start = printed.strip_suffix("t%C3%BCre.1").unwrap_or_else(|| panic!("{printed}"));
    for url in [printed, &format!("{start}türe.1"), &format!("{start}t%c3%bcre.1/?x=y")] {
        for transport in ["tcp", "udp"] {
            let Some(mut ffmpeg) = ffmpeg(transport, url) else { return };
            output(ffmpeg.args(["-frames:v", "2", "-f", "null", "-"]));
        }
    }
}

#[test]
fn opencv_reads_an_h264_camera() {
    let server = Server::streaming(&[&format!("front=sim:?{H264}"), "--rtsp", "0"]);
    for transport in ["tcp", "udp"] {
        let Some(text) = python("read_rtsp.py", &[&server.rtsp[0], transport, "20"].map(Path::new)) else { return };
        let read: Value = serde_json::from_str(&text).expect("JSON");
        let sizes = read["sizes"].as_array().expect("sizes");
        assert!(sizes.len() == 20 && sizes.iter().all(|size| *size == serde_json::json!([320, 176])), "{text}");
    }
    players(server);
}

/// The pictures of packed BGR that ffmpeg decodes.
fn pictures(mut ffmpeg: Command, count: usize) -> Vec<u8> {
    ffmpeg.args([
        "-frames:v",
        &count.to_string(),
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "bgr24",
        "-",
    ]);
    let output = ffmpeg.stdin(Stdio::null()).output().expect("ffmpeg runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Mean difference of two lists of samples.
fn difference(a: impl Iterator<Item = u8>, b: &[u8]) -> f64 {
    let sum: u64 = a.zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / b.len() as f64
}

#[test]
fn raw_pictures_are_encoded_once_for_all_players() {
    const RAW: &str = "size=160x96&fps=30&seed=9&records=off";
    let server = Server::streaming(&[&format!("front=sim:?{RAW}"), "--rtsp", "0"]);
    let encodings = || server.cameras()[0]["encoded"].as_u64().expect("a number");
    assert_eq!(encodings(), 0, "nobody watches");
    let Some(mut first) = ffmpeg("tcp", &server.rtsp[0]) else { return };
    let Some(second) = ffmpeg("udp", &server.rtsp[0]) else { return };
    let first = first.args(["-c", "copy", "-frames:v", "60", "-f", "null", "-"]).stdin(Stdio::null());
    let mut first = first.spawn().expect("ffmpeg runs");
    let decoded = pictures(second, 60);
    assert!(first.wait().expect("it ends").success());
    let picture = 160 * 96 * 3;
    assert_eq!(decoded.len(), 60 * picture);
    // The last one is a picture of the camera.
    let mut stream = Stream::new(&RAW.parse::<SimConfig>().expect(RAW)).expect(RAW);
    let last = &decoded[59 * picture..];
    let least = (0..200).map(|_| {
        let planes = stream.turn().truth.payload;
        let packed = (0..picture).map(|at| planes[at % 3 * (picture / 3) + at / 3]);
        difference(packed, last)
    });
    let least = least.fold(f64::MAX, f64::min);
    assert!(least < 6.0, "{least}");
    let totals = server.cameras()[0]["totals"][0].clone();
    let sent = totals["sent"].as_u64().expect("a number");
    assert!(sent >= 120 && encodings() < sent, "{} encoded, {totals}", encodings());
    players(server);
}

/// A server of pictures over HTTP, which sends this file again and again.
fn mjpeg(file: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 4096]);
            let head = "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n";
            let part = format!("--b\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", file.len());
            let _ = client.write_all(head.as_bytes());
            while client.write_all(&[part.as_bytes(), &file, b"\r\n"].concat()).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
    format!("http://127.0.0.1:{port}/video")
}

#[test]
fn jpeg_is_sent_as_it_is_where_rtp_carries_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for (chroma, carried) in [("yuvj420p", true), ("yuvj444p", false)] {
        let path = folder.path().join("picture.jpg");
        let Some(mut encoder) = system("ffmpeg") else { return };
        // The tables of the standard, which receivers assume.
        encoder.args([
            "-v",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x176",
            "-frames:v",
            "1",
            "-huffman",
            "default",
        ]);
        output(encoder.args(["-pix_fmt", chroma, "-q:v", "3"]).arg(&path));
        let camera = format!("front={}", mjpeg(std::fs::read(&path).expect("a file")));
        let server = Server::streaming(&[&camera, "--rtsp", "0"]);
        let Some(mut file) = system("ffmpeg") else { return };
        file.args(["-v", "error", "-i"]).arg(&path);
        let expected = pictures(file, 1);
        for transport in ["tcp", "udp"] {
            let Some(player) = ffmpeg(transport, &server.rtsp[0]) else { return };
            let got = pictures(player, 10);
            assert_eq!(got.len(), 10 * expected.len(), "{chroma} {transport}");
            for picture in got.chunks(expected.len()) {
                let difference = difference(picture.iter().copied(), &expected);
                assert!(if carried { difference == 0.0 } else { difference < 12.0 }, "{chroma}: {difference}");
            }
        }
        let encoded = server.cameras()[0]["encoded"].as_u64();
        assert_eq!(encoded == Some(0), carried, "{chroma}: {encoded:?}");
        players(server);
    }
}

#[test]
fn ffmpeg_gets_the_bytes_of_an_h265_camera() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(encoder) = system("ffmpeg") else { return };
    let file = folder.path().join("video.h265");
    std::fs::write(&file, encoded(encoder, PayloadKind::H265, "320x176", 60, &[])).expect("a file");
    let config = format!("format=h265&fps=30&records=off&images={}", file.display());
    let server = Server::streaming(&[&format!("front=sim:?{config}"), "--rtsp", "0"]);
    for transport in ["tcp", "udp"] {
        let stored = folder.path().join(transport).with_extension("h265");
        let Some(mut ffmpeg) = ffmpeg(transport, &server.rtsp[0]) else { return };
        output(ffmpeg.args(["-c", "copy", "-frames:v", "40", "-f", "hevc"]).arg(&stored));
        assert_untouched(&config, &stored, 40);
    }
    players(server);
}
