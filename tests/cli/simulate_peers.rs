//! Simulated cameras that connect to others: to a broker, and to a host that waits.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use crate::broker::{broker, is_missing};
use crate::external_tools::{free_port, system};
use crate::mqtt_peers::certificate;
use crate::program::{Running, oaktap, run};

/// Reads a packet of MQTT: its first byte, and its body.
fn packet(client: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut byte = || {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a packet");
        byte[0]
    };
    let first = byte();
    let (mut len, mut shift) = (0, 0);
    loop {
        let digit = byte();
        len |= usize::from(digit & 0x7f) << shift;
        shift += 7;
        if digit & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; len];
    client.read_exact(&mut body).expect("a packet");
    (first, body)
}

#[test]
fn simulated_camera_publishes_pictures_boxes_and_numbers_and_connects_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let url = format!("mqtt://me:se%3Acret@127.0.0.1:{port}/cam/a");
    let args = ["simulate", "--mqtt", &url, "--size", "64x48", "--fps", "20", "--seed", "3", "--boxes", "2"];
    let child = oaktap(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let _camera = Running(child);
    for _connection in 0..2 {
        let mut client = listener.accept().expect("the camera").0;
        client.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let (first, connect) = packet(&mut client);
        assert!(first == 0x10 && connect.starts_with(b"\0\x04MQTT\x04"), "{connect:?}");
        assert!(connect.windows(2).any(|part| part == b"me") && connect.ends_with(b"se:cret"), "{connect:?}");
        client.write_all(&[0x20, 2, 0, 0]).expect("it reads");
        let (mut pictures, mut boxes, mut numbers) = (0, 0, 0);
        while numbers == 0 || pictures < 3 {
            let (first, body) = packet(&mut client);
            if first == 0xc0 {
                continue;
            }
            assert_eq!(first, 0x30, "quality of service 0, not retained");
            let (len, rest) = body.split_at(2);
            let (topic, payload) = rest.split_at(usize::from(u16::from_be_bytes([len[0], len[1]])));
            match topic {
                b"cam/a" => {
                    assert!(payload.starts_with(&[0xff, 0xd8, 0xff]) && payload.ends_with(&[0xff, 0xd9]));
                    pictures += 1;
                    assert_eq!(pictures, boxes, "the boxes of a picture are sent before it");
                }
                b"cam/a/detections" => {
                    let list: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
                    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
                    boxes += 1;
                }
                b"cam/a/average" => {
                    assert_eq!(payload, b"2.0");
                    numbers += 1;
                }
                other => panic!("{}", other.escape_ascii()),
            }
        }
    }
}

#[test]
fn simulated_camera_publishes_over_tls() {
    if is_missing() || system("openssl").is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path());
    let (here, tls) = (folder.path().display(), free_port());
    let (_broker, _) = broker(folder.path(), &|| {
        format!("listener {tls} 127.0.0.1\nallow_anonymous true\ncertfile {here}/cert.pem\nkeyfile {here}/key.pem\n")
    });
    let url = format!("mqtts://127.0.0.1:{tls}/cam");
    let (code, _, err) = run(&["simulate", "--mqtt", &url, "--duration", "10s"]);
    assert!(code == 1 && err.contains("certificate is not trusted") && err.contains("cam#insecure"), "{err}");
    let url = url + "#insecure";
    let args = ["simulate", "--mqtt", &url, "--size", "64x48", "--duration", "60s"];
    let child = oaktap(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let _camera = Running(child);
    let (code, out, err) = run(&["detections", &url, "-n", "5", "--duration", "30s"]);
    assert!(code == 0 && out.lines().filter(|line| line.contains("\"format\":\"JPEG\"")).count() == 5, "{out}{err}");
}

#[test]
fn simulated_camera_connects_to_a_host_that_begins_to_wait_later() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let args = ["simulate", "--connect", &address, "--size", "64x48", "--records", "--duration", "60s"];
    let child = oaktap(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let _camera = Running(child);
    for _host in 0..2 {
        let url = format!("listen://{address}");
        let (code, out, err) = run(&["detections", &url, "-n", "5", "--duration", "30s"]);
        assert!(code == 0 && out.lines().filter(|line| line.contains("\"width\":64")).count() == 5, "{out}{err}");
    }
    let (code, _, err) = run(&["simulate", "--connect", &address, "--count", "2", "--http"]);
    assert!(code == 2 && err.contains("--http"), "{err}");
}
