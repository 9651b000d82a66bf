//! Sources over HTTP: the quirks of servers, redirects, passwords, limits, and error pages.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oaktap::source::{SessionOptions, SessionState, SourceErrorClass, Timeouts};
use oaktap::wire::Limits;

use crate::session::Bench;

/// A JPEG with this many bytes of pixels.
pub(crate) fn jpeg(scan: usize) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0, 0xff, 0xda, 0, 2];
    file.extend((0..scan).map(|n| (n % 200) as u8));
    file.extend([0xff, 0xd9]);
    file
}

/// A request: its path, and its fields.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    fields: Vec<String>,
}

impl Asked {
    fn authorization(&self) -> Option<&str> {
        self.fields.iter().find_map(|field| field.strip_prefix("authorization: "))
    }
}

type Answer = std::io::Result<()>;

/// A server that answers each connection with what a function writes, and notes the requests. Ends with the test.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn start(answer: impl Fn(&Asked, &mut TcpStream) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (noted, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, noted, answer) = (client.expect("a client"), Arc::clone(&noted), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(client.try_clone().expect("a handle")).lines();
                    let mut next = || lines.next().and_then(Result::ok);
                    let Some(line) = next() else { return };
                    let fields = std::iter::from_fn(|| next().filter(|field| !field.is_empty())).collect();
                    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                    let asked = Asked { path, fields };
                    noted.lock().expect("no panic").push(asked.clone());
                    let _ = answer(&asked, &mut client);
                });
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn with_password(&self, path: &str) -> String {
        format!("http://me:secret@{}{path}", self.address)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// Writes a response, then leaves the connection open until the client closes it.
fn respond(client: &mut TcpStream, head: &str, body: &[u8]) -> Answer {
    client.write_all(format!("HTTP/1.0 {head}\r\n\r\n").as_bytes())?;
    client.write_all(body)?;
    client.read(&mut [0]).map(drop)
}

fn still(client: &mut TcpStream, picture: &[u8]) -> Answer {
    let head = format!("HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}", picture.len());
    client.write_all(format!("{head}\r\n\r\n").as_bytes())?;
    client.write_all(picture)
}

/// Returns the error that ends a connection.
fn error(url: &str, options: SessionOptions) -> (SourceErrorClass, String, String) {
    let bench = Bench::new(url, options);
    let state = bench.reach("an error", |state| state.reason().is_some());
    let reason = state.reason().expect("a reason");
    (reason.class(), reason.to_string(), reason.help().unwrap_or_default().into_owned())
}

#[test]
fn streams_of_all_servers_become_frames() {
    let length = jpeg(300).len();
    let part = |head: &str, after: &str| [head.as_bytes(), &jpeg(300), after.as_bytes()].concat();
    let official =
        part(&format!("--jpgboundary\r\nContent-type: image/jpeg\r\nContent-length: {length}\r\n\r\n"), "\r\n");
    let plain = part("\r\n--b\r\nContent-Type: image/jpeg\r\n\r\n", "");
    let chunks = plain.chunks(100);
    let chunks = chunks.map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    let chunked: Vec<u8> = chunks.collect::<Vec<_>>().concat();
    let mixed = "200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary";
    for (name, head, body) in [
        ("official", format!("HTTP/1.0 {mixed}=--jpgboundary\r\n\r\n"), official.clone()),
        ("no length", format!("HTTP/1.1 {mixed}=\"b\"\r\n\r\n"), plain),
        (
            "LF only",
            "HTTP/1.0 200 OK\nCONTENT-TYPE: Multipart/X-Mixed-Replace;boundary=b\n\n".to_owned(),
            part(&format!("--b\nCONTENT-LENGTH: {length}\n\n"), "\n"),
        ),
        ("chunked", format!("HTTP/1.1 {mixed}=b\r\nTransfer-Encoding: chunked\r\n\r\n"), chunked),
        ("no type", "HTTP/1.0 200 OK\r\n\r\n".to_owned(), official),
    ] {
        let server = Server::start(move |_, client| {
            client.write_all(head.as_bytes())?;
            (0..5).try_for_each(|_| client.write_all(&body))?;
            client.read(&mut [0]).map(drop)
        });
        let bench = Bench::new(&server.url("/v?x=1#every=1h"), SessionOptions::default());
        for id in 0..5 {
            let frame = bench.kept();
            assert_eq!((frame.id, frame.dialect, frame.payload().len()), (id, "HTTP", length), "{name}");
            assert!(frame.no_clock, "{name}");
        }
        let stats = bench.end();
        assert_eq!((stats.frames.confirmed, stats.damaged_bytes, stats.frames.missing), (5, 0, 0), "{name}");
        let asked = server.asked();
        assert_eq!((asked.len(), asked[0].path.as_str()), (1, "/v?x=1"), "the fragment is not sent");
    }
}

#[test]
fn parts_and_responses_that_are_no_pictures_are_lost_frames() {
    for (path, frames) in [("/stream", 3), ("/still#every=10ms", 2)] {
        let count = Mutex::new(0);
        let server = Server::start(move |asked, client| {
            let bodies = [&jpeg(100)[..], b"<html>", b"\0\x01\x02\x03", &jpeg(100), b"[]", &jpeg(100)];
            if asked.path == "/stream" {
                client.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n")?;
                for body in bodies {
                    let head = format!("--b\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", body.len());
                    client.write_all(&[head.as_bytes(), body, b"\r\n"].concat())?;
                }
                return client.read(&mut [0]).map(drop);
            }
            let mut count = count.lock().expect("no panic");
            *count += 1;
            still(client, bodies[(*count - 1) % bodies.len()])
        });
        let bench = Bench::new(&server.url(path), SessionOptions::default());
        for _ in 0..frames {
            assert_eq!(bench.kept().payload(), jpeg(100), "{path}");
        }
        let stats = bench.end();
        assert!(stats.frames.lost >= frames - 1 && !stats.lossless(), "{path}: {stats:?}");
        let damage = stats.first_damage.expect("a damage").what;
        assert_eq!(damage, "its 6 bytes are no JPEG and no PNG", "{path}");
    }
}

#[test]
fn still_pictures_are_requested_again_and_again() {
    let server = Server::start(|_, client| still(client, &jpeg(100)));
    let bench = Bench::new(&server.url("/img#every=10ms"), SessionOptions::default());
    let arrivals: Vec<u64> = (0..5).map(|_| bench.kept().received.mono_ns).collect();
    assert!(arrivals.windows(2).all(|pair| pair[1] > pair[0]), "{arrivals:?}");
    let stats = bench.end();
    assert_eq!((stats.connections, stats.frames.lost), (1, 0), "polling is one connection");
}

#[test]
fn still_pictures_that_end_early_are_lost_and_the_next_ones_arrive() {
    let count = Mutex::new(0);
    let server = Server::start(move |_, client| {
        let picture = jpeg(100);
        let mut count = count.lock().expect("no panic");
        *count += 1;
        let head = format!("HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len());
        client.write_all(head.as_bytes())?;
        client.write_all(&picture[..if *count % 2 == 1 { 50 } else { picture.len() }])
    });
    let bench = Bench::new(&server.url("/#every=10ms"), SessionOptions::default());
    bench.kept();
    bench.kept();
    let stats = bench.end();
    assert!(stats.frames.lost >= 2 && stats.first_damage.is_some(), "{stats:?}");
}

#[test]
fn redirects_are_followed_three_times_and_carry_no_password_to_another_host() {
    let other = Server::start(|_, client| still(client, &jpeg(100)));
    let target = other.url("/there");
    let server = Server::start(move |asked, client| {
        if asked.authorization().is_none() {
            return respond(client, "401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Basic realm=\"x\"", b"");
        }
        let to = match asked.path.as_str() {
            "/start" => "/a/second",
            "/a/second" => "third?x",
            "/a/third?x" => &target,
            _ => "/loop",
        };
        respond(client, &format!("302 Found\r\nContent-Length: 0\r\nLocation: {to}"), b"")
    });
    let bench = Bench::new(&server.with_password("/start#every=1h"), SessionOptions::default());
    bench.kept();
    bench.end();
    assert!(server.asked().iter().any(|asked| asked.authorization() == Some("Basic bWU6c2VjcmV0")));
    let asked = other.asked();
    assert_eq!((asked[0].path.as_str(), asked[0].authorization()), ("/there", None));

    let (class, text, _) = error(&server.with_password("/loop"), SessionOptions::default());
    assert!(class == SourceErrorClass::Fatal && text.contains("expected at most 3 redirects"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn digest_authentication_is_answered() {
    let server = Server::start(|asked, client| match asked.authorization() {
        Some(answer) if answer.starts_with("Digest username=\"me\"") && answer.contains("nc=0000000") => {
            still(client, &jpeg(100))
        }
        _ => {
            let offers = "WWW-Authenticate: Basic realm=\"r\"\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", \
                          qop=\"auth\"";
            respond(client, &format!("401 No\r\nContent-Length: 0\r\n{offers}"), b"")
        }
    });
    let bench = Bench::new(&server.with_password("/#every=10ms"), SessionOptions::default());
    bench.kept();
    bench.kept();
    bench.end();
    let asked = server.asked();
    assert_eq!(asked[0].authorization(), None, "the password is not offered before the server asks");
    assert!(!format!("{asked:?}").contains("Basic"), "{asked:?}");
}

#[test]
fn servers_without_pictures_are_explained() {
    use SourceErrorClass::{Fatal, Retry};
    let server = Server::start(|asked, client| match asked.path.as_str() {
        "/page" => respond(client, "200 OK\r\nContent-Type: text/html\r\nContent-Length: 14", b"<h1>Hello</h1>"),
        "/json" => respond(client, "200 OK\r\nContent-Type: application/json\r\nContent-Length: 2", b"{}"),
        "/secret" => respond(client, "401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0", b""),
        "/kerberos" => respond(client, "401 No\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0", b""),
        "/closed" => Ok(()),
        "/busy" => respond(client, "503 Busy\r\nContent-Length: 0", b""),
        "/ssh" => client.write_all(b"SSH-2.0-OpenSSH\r\n"),
        _ => respond(client, "404 Not Found\r\nContent-Length: 16", b"Url not found..."),
    });
    let (url, user) = (|path| server.url(path), |path| server.with_password(path));
    for (url, class, text, help) in [
        (url("/page"), Fatal, "/page is a web page, not a stream or a picture: \"Hello\"", "usual paths: /"),
        (url("/json"), Fatal, "/json is `application/json`, not a stream", "usual paths"),
        (url("/x?key=1"), Fatal, "the server answers 404 Not Found for /x: \"Url not found...\"", "/img"),
        (url("/secret"), Fatal, "requires a user name and a password", "http://USER:PASSWORD@HOST/PATH"),
        (user("/secret"), Fatal, "does not accept this user name and password", "%40"),
        (user("/kerberos"), Fatal, "requires the authentication \"Negotiate\"", ""),
        (url("/closed"), Retry, "closed the connection without a response to GET /closed", "usual paths"),
        (url("/busy"), Retry, "the server answers 503", "browser"),
        (url("/ssh"), Fatal, "the response is not valid HTTP", "tcp://HOST:PORT"),
    ] {
        let (found, shown, next) = error(&url, SessionOptions::default());
        assert!(found == class && shown.contains(text) && next.contains(help), "{url}: {shown}\n{next}");
        assert!(!shown.contains("me:secret"), "{shown}");
    }
}

const MULTIPART: &str = "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n";
const PICTURE: &str = "HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n";

#[test]
fn peers_that_never_end_are_cut_off() {
    for (start, text) in [
        ("HTTP/1.0 200 OK\r\nX: ".to_owned(), "its head has more than 16384 bytes"),
        (MULTIPART.to_owned(), "no part begins in the first"),
        (format!("{MULTIPART}--b\r\nX: "), "the head of a part does not end within 16384 bytes"),
        (format!("{MULTIPART}--b\r\n\r\n"), "a part has more than 1048576 bytes"),
        (format!("{MULTIPART}--b\r\nContent-Length: 99999999999\r\n\r\n"), "a part has 99999999999 bytes"),
        (format!("{PICTURE}\r\n"), "the picture has more than 1048576 bytes"),
        (format!("{PICTURE}Content-Length: 99999999999\r\n\r\n"), "the picture has more than 1048576 bytes"),
    ] {
        let server = Server::start(move |_, client| {
            client.write_all(start.as_bytes())?;
            loop {
                client.write_all(&[b'x'; 10_000])?;
            }
        });
        let limits = Limits { payload: 1 << 20, ..Limits::default() };
        let (_, shown, _) = error(&server.url("/"), SessionOptions { limits, ..SessionOptions::default() });
        assert!(shown.contains(text), "{shown}");
    }
}

#[test]
fn peers_that_fall_silent_are_cut_off() {
    for (start, text) in [
        (String::new(), "no response to GET / within 0.3 s"),
        ("HTTP/1.0 200 OK\r\nX: 1\r\n".to_owned(), "no response to GET / within 0.3 s"),
        (format!("{MULTIPART}--b\r\nContent-Length: 1000\r\n\r\nabc"), "no data for"),
        (format!("{PICTURE}Content-Length: 1000\r\n\r\nabc"), "no data for"),
    ] {
        let server = Server::start(move |_, client| {
            client.write_all(start.as_bytes())?;
            client.read(&mut [0]).map(drop)
        });
        let timeouts = Timeouts { idle: Duration::from_millis(300), ..Timeouts::default() };
        let (class, shown, _) = error(&server.url("/"), SessionOptions { timeouts, ..SessionOptions::default() });
        assert!(class == SourceErrorClass::Retry && shown.contains(text), "{shown}");
    }
}

#[test]
fn a_stream_that_ends_is_received_again() {
    let server = Server::start(|_, client| {
        client.write_all(format!("{MULTIPART}--b\r\n\r\n").as_bytes())?;
        client.write_all(&jpeg(100))
    });
    let bench = Bench::new(&server.url("/"), SessionOptions::default());
    let ids: Vec<u64> = (0..3).map(|_| bench.kept().id).collect();
    assert_eq!(ids, [0, 1, 2], "numbers continue");
    bench.reach("the end", |state| matches!(state, SessionState::Streaming | SessionState::Lost { .. }));
    let stats = bench.end();
    assert!(stats.connections >= 3 && stats.frames.lost == 0, "{stats:?}");
}

#[test]
fn png_files_become_pixels() {
    use oaktap::frame::{PixelFormat, Size};
    let rgb: Vec<u8> = (0..4 * 3 * 3).collect();
    let file = oaktap::convert::encode_png(&rgb, Size::new(4, 3)).expect("a picture");
    let cut = file[..file.len() - 20].to_vec();
    let count = Mutex::new(0);
    let server = Server::start(move |_, client| {
        let mut count = count.lock().expect("no panic");
        *count += 1;
        let file = if *count == 1 { &cut } else { &file };
        let head = format!("HTTP/1.0 200 OK\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n", file.len());
        client.write_all(head.as_bytes())?;
        client.write_all(file)
    });
    let bench = Bench::new(&server.url("/#every=10ms"), SessionOptions::default());
    let frame = bench.kept();
    let geometry = frame.geometry.expect("a layout");
    assert_eq!((geometry.format, geometry.width, geometry.height), (PixelFormat::Rgb888i, 4, 3));
    assert_eq!(frame.payload(), rgb);
    let stats = bench.end();
    assert_eq!(stats.frames.lost, 1, "the file that is cut");
    let damage = stats.first_damage.expect("a damage").what;
    assert!(damage.ends_with(" bytes are a PNG file that cannot be decoded"), "{damage}");
}
