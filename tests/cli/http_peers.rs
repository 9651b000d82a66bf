//! HTTP with programs of others on the other side: nginx, ffmpeg, OpenCV and curl.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::external_tools::{free_port, has_python_package, python, system};
use crate::program::{Running, oaktap, run, signal};

/// Waits until a program listens.
fn await_port(port: u16) {
    let late = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < late, "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A simulated camera, and its address without a path.
fn camera() -> (Running, String) {
    let options = ["simulate", "--http", "--listen", "127.0.0.1:0", "--size", "160x120", "--fps", "20"];
    let mut camera = oaktap(&options).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut line = String::new();
    let mut said = BufReader::new(camera.stderr.take().expect("it is piped"));
    said.read_line(&mut line).expect("it prints UTF-8");
    std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
    let address = line.trim_end().strip_prefix("listening on ").and_then(|url| url.strip_suffix('/')).expect(&line);
    (Running(camera), address.to_owned())
}

/// Returns the number of frames that `detections` prints.
fn frames(url: &str) -> usize {
    let (code, out, err) = run(&["detections", url, "--frames", "5", "--duration", "30s"]);
    assert_eq!(code, 0, "{url}: {err}");
    assert!(!err.contains("secret"), "{err}");
    out.lines().filter(|line| line.contains("\"format\":\"JPEG\"") && line.contains("\"width\":160")).count()
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file");
}

#[test]
fn streams_and_stills_arrive_through_nginx() {
    if system("nginx").is_none() || system("openssl").is_none() {
        return;
    }
    let (_camera, upstream) = camera();
    let (plain, tls) = (free_port(), free_port());
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=camera"];
    let made =
        Command::new("openssl").args(request).args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(at).output();
    assert!(made.expect("it starts").status.success());
    write(at, "users", "me:{PLAIN}secret\n");
    let here = at.display();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {here}/{name};"))
        .concat();
    write(
        at,
        "nginx.conf",
        &format!(
            "daemon off; master_process off; user root; pid {here}/pid; error_log {here}/log; events {{}} http {{ access_log off; {paths} \
             server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl; ssl_certificate {here}/cert.pem; \
             ssl_certificate_key {here}/key.pem; proxy_buffering off; location / {{ proxy_pass {upstream}; }} \
             location /protected/ {{ auth_basic cameras; auth_basic_user_file {here}/users; proxy_pass {upstream}/; }} \
             location /moved {{ return 302 /img; }} location /away {{ return 301 https://127.0.0.1:{tls}/; }} }} }}"
        ),
    );
    let nginx = Command::new("nginx").args(["-e", "log", "-p"]).arg(at).arg("-c").arg(at.join("nginx.conf")).spawn();
    let _nginx = Running(nginx.expect("it starts"));
    await_port(plain);
    for url in [
        format!("http://127.0.0.1:{plain}/"),
        format!("http://127.0.0.1:{plain}/img#every=10ms"),
        format!("http://127.0.0.1:{plain}/moved#every=10ms"),
        format!("http://me:secret@127.0.0.1:{plain}/protected/img#every=10ms"),
        format!("http://me:secret@127.0.0.1:{plain}/protected/"),
        format!("https://127.0.0.1:{tls}/#insecure"),
        format!("https://127.0.0.1:{tls}/img#every=10ms,insecure"),
    ] {
        assert_eq!(frames(&url), 5, "{url}");
    }
    for (url, text) in [
        (format!("https://127.0.0.1:{tls}/"), "#insecure"),
        (format!("http://127.0.0.1:{plain}/away"), "the server's certificate is not trusted"),
        (format!("http://127.0.0.1:{plain}/protected/"), "http://USER:PASSWORD@HOST/PATH"),
        (format!("http://me:wrong@127.0.0.1:{plain}/protected/"), "does not accept this user name and password"),
        (format!("http://127.0.0.1:{plain}/nothing"), "404 Not Found for /nothing"),
        (format!("https://127.0.0.1:{plain}/#insecure"), "instead of https://"),
    ] {
        let (code, _, err) = run(&["detections", &url, "--duration", "2s"]);
        assert!(code != 0 && err.contains(text) && !err.contains("wrong@"), "{url}: {err}");
    }
}

#[test]
fn a_stream_of_ffmpeg_is_recorded_and_played() {
    let Some(mut ffmpeg) = system("ffmpeg") else { return };
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/v");
    ffmpeg.args(["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=20", "-t", "60"]);
    ffmpeg.args(["-f", "mpjpeg", "-listen", "1", &url]).stdin(Stdio::null());
    let _ffmpeg = Running(ffmpeg.spawn().expect("it starts"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("f.mcap");
    let file = file.to_str().expect("UTF-8");
    // Connects again until ffmpeg listens.
    let (code, _, err) = run(&["record", &url, "-o", file, "--frames", "30", "--duration", "30s"]);
    assert_eq!(code, 0, "{err}");
    let (code, out, err) = run(&["verify", file]);
    assert!(code == 0 && out.contains("30 intact frames"), "{out}{err}");
    let pictures = folder.path().join("out");
    let (code, _, err) = run(&["export", file, "--to", "jpeg", "-o", pictures.to_str().expect("UTF-8")]);
    assert!(code == 0 && std::fs::read_dir(pictures).expect("a folder").count() == 30, "{err}");

    // Served again, it is a stream with headers.
    let mut served =
        oaktap(&["replay", file, "--serve", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = BufReader::new(served.stderr.take().expect("it is piped")).lines();
    let at = said.find_map(|line| Some(line.ok()?.split_once("tcp://")?.1.split_whitespace().next()?.to_owned()));
    let (code, out, err) = run(&["detections", &at.expect("its address"), "--duration", "20s", "--frames", "20"]);
    assert!(code == 0 && out.lines().count() == 20, "{err}");
    signal(&served, "INT");
    let _ = served.wait();
}

#[test]
fn ffmpeg_and_curl_receive_the_simulated_servers() {
    let (_camera, address) = camera();
    if let Some(mut ffmpeg) = system("ffmpeg") {
        let url = format!("{address}/");
        ffmpeg.args(["-v", "error", "-f", "mpjpeg", "-i", &url, "-frames:v", "5", "-f", "framecrc", "-"]);
        let Output { status, stdout, stderr } = ffmpeg.stdin(Stdio::null()).output().expect("it starts");
        let frames = String::from_utf8_lossy(&stdout).lines().filter(|line| !line.starts_with('#')).count();
        assert!(status.success() && frames == 5, "{}", String::from_utf8_lossy(&stderr));
    }
    if let Some(mut curl) = system("curl") {
        let still = curl.args(["-s", &format!("{address}/img")]).output().expect("it starts").stdout;
        assert!(still.starts_with(&[0xff, 0xd8, 0xff]) && still.ends_with(&[0xff, 0xd9]));
    }
}

#[test]
fn opencv_receives_the_simulated_server() {
    if !has_python_package("cv2") {
        return;
    }
    let (_camera, url) = camera();
    let said = python("read_mjpeg.py", &[Path::new(&format!("{url}/"))]).expect("it was there");
    // Pictures of the scene: of its size, and neither black nor all the same.
    assert_eq!(said.trim_end(), "10 pictures of 160x120, 10 with details", "{url}");
}

#[test]
fn pictures_that_curl_posts_are_received() {
    let Some(mut curl) = system("curl") else { return };
    let (_camera, address) = camera();
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("p.jpg");
    let picture = picture.to_str().expect("UTF-8");
    assert!(curl.args(["-s", "-o", picture, &format!("{address}/img")]).status().expect("it starts").success());
    let port = free_port();
    let url = format!("http-post://127.0.0.1:{port}/front");
    let mut receiver = oaktap(&["detections", &url, "--frames", "3", "--duration", "30s"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    await_port(port);
    for body in [format!("@{picture}"), "not sent".to_owned(), format!("@{picture}"), format!("@{picture}")] {
        let path = if body.starts_with('@') { "front" } else { "back" };
        let boxes = "X-Detections: 1;90.0;0.1;0.1;0.5;0.5";
        let args = ["-s", "-w", "%{http_code}", "-H", boxes, "--data-binary", &body];
        let answer =
            Command::new("curl").args(args).arg(format!("http://127.0.0.1:{port}/{path}")).output().expect("it starts");
        let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(answer.ends_with(if path == "front" { "204" } else { "404" }), "{answer}");
    }
    let mut out = String::new();
    receiver.stdout.take().expect("it is piped").read_to_string(&mut out).expect("UTF-8");
    assert!(receiver.wait().expect("it ends").success());
    assert_eq!(out.lines().filter(|line| line.contains("\"confidence\":0.9")).count(), 3, "{out}");
}
