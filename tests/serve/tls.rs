//! HTTPS: the certificate, clients without TLS, and clients that never finish the handshake.

use std::io::Read as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::external_tools::system;
use crate::program::run;
use crate::server::{AGES, Server};

const SECRET: &str = "correct-horse-battery";

/// The command that docs/serve.md gives for a certificate and its key.
fn recipe() -> String {
    let text = include_str!("../../docs/serve.md");
    text.lines().find(|line| line.starts_with("openssl req")).expect("a command").to_owned()
}

/// Runs the command of the documentation in a folder. `false` without openssl.
fn made_in(folder: &Path) -> bool {
    if system("openssl").is_none() || system("curl").is_none() {
        return false;
    }
    let made = Command::new("sh").args(["-c", &recipe()]).current_dir(folder).output().expect("there is a shell");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    true
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().expect("UTF-8").to_owned()
}

#[test]
fn clients_trust_the_certificate_and_plain_http_gets_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    if !made_in(at) {
        return;
    }
    std::fs::write(at.join("token"), SECRET).expect("a file");
    let [cert, key, token] = ["cert.pem", "key.pem", "token"].map(|name| path(at, name));
    let options = ["--tls-cert", &cert, "--tls-key", &key, "--token", &token, "--host-name", "cameras.lan"];
    let server = Server::start(&[&["front=sim:?size=64x48&fps=30"], &options[..]].concat());
    let port = server.port;
    let curl = |more: &[&str], path: &str| {
        let mut curl = Command::new("curl");
        let resolve = format!("cameras.lan:{port}:127.0.0.1");
        curl.args(["-s", "-i", "--max-time", "60", "--resolve", &resolve, "--cacert", &cert]).args(more);
        let output = curl.arg(format!("https://cameras.lan:{port}{path}")).output().expect("it starts");
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(curl(&[], "/healthz").ends_with("ok\n"));
    assert!(curl(&[], "/api/cameras").starts_with("HTTP/1.1 401 "));
    let bearer = format!("Authorization: Bearer {SECRET}");
    let signed_in = curl(&["-X", "POST", "-H", &bearer], "/api/session");
    let cookie = signed_in.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie"));
    assert!(cookie.is_some_and(|cookie| cookie.contains("; Secure")), "{signed_in}");

    let plain = server.get("/healthz");
    assert_eq!(plain.status, 400);
    assert_eq!(plain.text(), "this port serves HTTPS only: expected an address that begins with https://\n");

    // A client of TLS that says nothing more. It may get an alert before the end.
    let started = Instant::now();
    let mut silent = [&b""[..], b"\x16\x03\x01"].map(|bytes| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(AGES)).expect("a time");
        std::io::Write::write_all(&mut stream, bytes).expect("it reads");
        stream
    });
    // Another client is served meanwhile, by oaktap's own receiver of MJPEG.
    let url = format!("https://me:{SECRET}@127.0.0.1:{port}/stream/front.mjpg#insecure");
    let shot = path(at, "shot.png");
    let (code, _, err) = run(&["snapshot", &url, "-o", &shot]);
    assert!(code == 0 && image::open(&shot).is_ok_and(|picture| picture.width() == 64), "{code} {err}");
    for stream in &mut silent {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let waited = started.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(40)).contains(&waited), "{waited:?}");
}

#[test]
fn unusable_certificates_are_errors_with_a_command_that_makes_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = tempfile::tempdir().expect("a folder");
    if !made_in(folder.path()) || !made_in(other.path()) {
        return;
    }
    let [cert, key, missing] = ["cert.pem", "key.pem", "missing.pem"].map(|name| path(folder.path(), name));
    let foreign = path(other.path(), "key.pem");
    for (cert, key, expected) in [
        (&missing, &key, format!("cannot read {missing}")),
        (&key, &key, format!("{key} has a section `PRIVATE KEY`; expected a certificate in PEM form")),
        (&cert, &cert, format!("{cert} has a section `CERTIFICATE`; expected a private key in PEM form")),
        (&cert, &foreign, format!("the key in {foreign} is not the key of the certificate in {cert}")),
    ] {
        let (code, _, err) = run(&["serve", "sim:", "--http", "0", "--tls-cert", cert, "--tls-key", key]);
        assert!(code == 1 && err.contains(&expected), "{code} {err}");
        assert!(err.contains(&format!("help: create a certificate and its key: {}", recipe())), "{err}");
    }
    let (code, _, err) = run(&["serve", "sim:", "--tls-cert", &cert]);
    assert!(code == 2 && err.contains("--tls-key"), "{code} {err}");
}
