//! A running `oaktap serve`, and a client of HTTP/1.1 that a test understands.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Running, oaktap, signal};

/// Longer than any operation takes on a busy machine.
pub(crate) const AGES: Duration = Duration::from_secs(60);

/// The program. It is killed on drop.
pub(crate) struct Server {
    child: Child,
    errors: BufReader<ChildStderr>,
    /// Port of HTTP.
    pub(crate) port: u16,
    /// Ports of the cameras' own protocol.
    pub(crate) camera_ports: Vec<u16>,
    /// URLs of the cameras for players.
    pub(crate) rtsp: Vec<String>,
}

impl Server {
    /// Starts it on a free port.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::run(&[&["serve", "--json", "--http", "127.0.0.1:0"], arguments].concat())
    }

    /// Starts any command that serves.
    pub(crate) fn run(arguments: &[&str]) -> Self {
        let mut child =
            oaktap(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let (mut text, mut port, mut camera_ports, mut rtsp) = (String::new(), None, Vec::new(), Vec::new());
        while port.is_none() {
            let mut line = String::new();
            assert!(errors.read_line(&mut line).expect("text") > 0, "it ended: {text}");
            let number =
                |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a port");
            camera_ports.extend(line.split_once(" at tcp://127.0.0.1:").map(|(_, rest)| number(rest)));
            rtsp.extend(line.split_once(" at rtsp://").map(|(_, rest)| format!("rtsp://{}", rest.trim())));
            let http = ["http", "https"].map(|scheme| format!(" at {scheme}://127.0.0.1:"));
            let serves = line.starts_with("serving ");
            port = http.iter().find_map(|at| line.split_once(at)).filter(|_| serves).map(|(_, rest)| number(rest));
            text.push_str(&line);
        }
        Self { child, errors, port: port.expect("a port"), camera_ports, rtsp }
    }

    /// The same, once frames arrive: a simulated camera encodes its video first.
    pub(crate) fn streaming(arguments: &[&str]) -> Self {
        let server = Self::start(arguments);
        let deadline = Instant::now() + AGES;
        while server.cameras()[0]["counts"]["frames"]["confirmed"].as_u64() < Some(1) {
            assert!(Instant::now() < deadline, "{}", server.cameras());
        }
        server
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request with these headers and returns the connection, from which the response can be read.
    pub(crate) fn open(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(AGES)).expect("a time");
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: 127.0.0.1:{}\r\n", self.port);
        }
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        stream.write_all((head + "\r\n").as_bytes()).expect("it reads");
        BufReader::new(stream)
    }

    /// Answers of one request.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        Response::read(&mut self.open(method, path, &[headers, &[("Connection", "close")]].concat()))
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[])
    }

    /// The cameras of the API.
    pub(crate) fn cameras(&self) -> Value {
        serde_json::from_slice(&self.get("/api/cameras").body).expect("JSON")
    }

    /// Ends it like Ctrl-C: exit code, lines of JSON, standard error.
    pub(crate) fn stop(mut self) -> (i32, Vec<Value>, String) {
        signal(&self.child, "INT");
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().expect("a pipe").read_to_string(&mut out).expect("text");
        self.errors.read_to_string(&mut err).expect("text");
        let code = self.child.wait().expect("it ends").code().expect("it was not killed");
        (code, out.lines().map(|line| serde_json::from_str(line).expect(line)).collect(), err)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has already ended if the test passed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A simulated camera in a process of its own, for one client at a time.
pub(crate) struct Camera {
    _process: Running,
    /// `tcp://HOST:PORT`
    pub(crate) address: String,
}

impl Camera {
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut program = oaktap(&[&["simulate", "--listen", "127.0.0.1:0"], options].concat());
        let mut process =
            Running(program.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts"));
        let mut line = String::new();
        let mut errors = BufReader::new(process.0.stderr.take().expect("a pipe"));
        errors.read_line(&mut line).expect("text");
        // It prints more while it runs.
        std::thread::spawn(move || errors.read_to_string(&mut String::new()));
        let address = line.split_whitespace().find(|word| word.starts_with("tcp://"));
        let address = address.unwrap_or_else(|| panic!("no address: {line}")).to_owned();
        Self { _process: process, address }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Reads the head of a response; its body is empty.
    pub(crate) fn head(from: &mut impl std::io::BufRead) -> Self {
        let mut line = String::new();
        from.read_line(&mut line).expect("a status");
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {line:?}")).parse().expect("a number");
        let mut headers = Vec::new();
        loop {
            line.clear();
            from.read_line(&mut line).expect("a header");
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Self { status, headers, body: Vec::new() }
    }

    /// Reads a response of known length.
    pub(crate) fn read(from: &mut impl std::io::BufRead) -> Self {
        let mut response = Self::head(from);
        let length = response.header("content-length").map_or(0, |length| length.parse().expect("a number"));
        response.body = vec![0; length];
        from.read_exact(&mut response.body).expect("the whole body");
        response
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Reads the body of a response in chunks, as one stream of bytes.
pub(crate) struct Chunks<R> {
    from: R,
    left: usize,
}

impl<R: std::io::BufRead> Chunks<R> {
    pub(crate) fn new(from: R) -> Self {
        Self { from, left: 0 }
    }
}

impl<R: std::io::BufRead> std::io::Read for Chunks<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let mut line = String::new();
            while line.trim().is_empty() {
                line.clear();
                if self.from.read_line(&mut line)? == 0 {
                    return Ok(0);
                }
            }
            self.left = usize::from_str_radix(line.trim(), 16).expect("the length of a chunk");
        }
        let most = into.len().min(self.left);
        let read = self.from.read(&mut into[..most])?;
        self.left -= read;
        Ok(read)
    }
}
