//! Addresses of pictures with a signature.

use std::io::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::server::{Response, Server};

const SECRET: &str = "correct-horse-battery";

fn with_token(folder: &tempfile::TempDir) -> Server {
    let path = folder.path().join("token");
    std::fs::write(&path, SECRET).expect("a file");
    Server::start(&["front=sim:?size=64x48&fps=30", "--token", path.to_str().expect("UTF-8")])
}

fn sign(server: &Server, body: &str, token: Option<&str>) -> Response {
    let bearer = format!("Bearer {}", token.unwrap_or_default());
    let length = body.len().to_string();
    let mut headers = vec![("Content-Length", &*length), ("Connection", "close")];
    headers.extend(token.map(|_| ("Authorization", &*bearer)));
    let mut connection = server.open("POST", "/api/sign", &headers);
    connection.get_mut().write_all(body.as_bytes()).expect("it reads");
    Response::read(&mut connection)
}

/// Runs the two lines of Python of docs/serve.md. `expires`: replaces their time.
fn recipe(path: &str, expires: Option<u64>) -> String {
    let text = include_str!("../../docs/serve.md");
    let lines = text.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a recipe");
    let lines = match expires {
        Some(expires) => lines.replace("(time.time() + 3600)", &expires.to_string()),
        None => lines.to_owned(),
    };
    let code = format!("import hashlib, hmac, time\ntoken, path = b'{SECRET}', b'{path}'\n{lines}");
    let output = Command::new("python3").args(["-c", &code]).output().expect("there is Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn a_signed_address_replaces_the_token_for_its_pictures_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = with_token(&folder);
    let answer = sign(&server, &json!({ "path": "/snapshot/front.jpg" }).to_string(), Some(SECRET));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let path = answer["path"].as_str().expect("a path");
    let picture = server.get(path);
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/jpeg")), "{}", picture.text());
    assert_eq!(picture.header("cross-origin-resource-policy"), Some("cross-origin"));
    assert!(path.contains(&format!("expires={}&", answer["expires"])), "{answer}");

    let stream = recipe("/stream/front.mjpg", None);
    assert_eq!(crate::http::mjpeg(&server, &stream, 2).len(), 2);
    let query = stream.split_once('?').expect("a query").1;
    for (path, status, reason) in [
        (format!("/snapshot/front.jpg?{query}"), 401, "the signature is not that of this address"),
        (format!("/api/cameras?{query}"), 401, "expected the token"),
        (recipe("/api/cameras", None), 401, "expected the token"),
        (recipe("/snapshot/front.jpg", Some(1)), 403, "this address has expired (1 s since 1970)"),
        (stream.replace("expires=", "expires=1"), 401, "the signature is not that of this address"),
        (stream[..stream.len() - 1].to_owned(), 401, "64 lower-case hexadecimal digits"),
        (format!("{stream}&h=1"), 401, "64 lower-case hexadecimal digits"),
    ] {
        let refused = server.get(&path);
        assert!(refused.status == status && refused.text().contains(reason), "{path}: {refused:?}");
    }
}

#[test]
fn only_clients_with_the_token_sign_and_only_pictures() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = with_token(&folder);
    let valid = r#"{"path":"/stream/front.mjpg"}"#;
    assert_eq!(sign(&server, valid, None).status, 401);
    assert_eq!(sign(&server, valid, Some("wrong")).status, 401);
    for body in [
        r#"{"path":"/api/cameras"}"#,
        r#"{"path":"/stream/a b"}"#,
        r#"{"path":"/stream/front.mjpg?expires=1"}"#,
        r#"{"path":"/stream/front.mjpg","seconds":0}"#,
        r#"{"path":"/stream/front.mjpg","seconds":604801}"#,
        r#"{"path":"/stream/front.mjpg","more":1}"#,
        "",
    ] {
        let refused = sign(&server, body, Some(SECRET));
        assert!(refused.status == 400 && refused.text().contains("expected"), "{body}: {refused:?}");
    }
    let long = format!(r#"{{"path":"/stream/{}"}}"#, "x".repeat(40_000));
    assert_eq!(sign(&server, &long, Some(SECRET)).status, 413);
    let open = Server::start(&["sim:?size=64x48"]);
    assert_eq!(sign(&open, valid, None).status, 409);
}

#[test]
fn only_addresses_of_a_camera_are_signed() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = with_token(&folder);
    for (body, status, reason) in [
        (r#"{"path":"/stream/back.mjpg"}"#, 404, "no camera `back`; expected front"),
        (r#"{"path":"/snapshot/back.png"}"#, 404, "no camera `back`; expected front"),
        (r#"{"path":"/snapshot/front/x.jpg"}"#, 404, "no such address"),
        (r#"{"path":"/snapshot/%ff.jpg"}"#, 404, "no such address"),
        (r#"{"path":"/snapshot/front.jpg?w=3"}"#, 400, "unknown query `w`"),
        (r#"{"path":"/snapshot/f%72ont.jpg?h=48"}"#, 200, "/snapshot/f%72ont.jpg?h=48&expires="),
    ] {
        let answer = sign(&server, body, Some(SECRET));
        assert!(answer.status == status && answer.text().contains(reason), "{body}: {answer:?}");
    }
}
