//! Runs our Script as a Script node on this computer (`nodes.py`). The test replaces the sensor and the network, and
//! clients read the stream through the decoder.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use oaktap::device::app::{App, Size};
use oaktap::device::script;
use oaktap::frame::{Detection, Frame, Interpreter, Pool, Received};
use oaktap::wire::{Decoder, Event, Limits, Record};
use serde_json::{Value, json};

/// Longer than any operation here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn nodes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sim/application/nodes.py")
}

/// Configuration of a Script node.
pub(crate) struct Setup {
    pub(crate) app: App,
    /// Size of the model's input.
    pub(crate) input: Option<Size>,
    /// Send-buffer size of a socket in bytes; 0 keeps the default.
    pub(crate) piece: usize,
    /// Time advances only when the test sets it.
    pub(crate) clock: bool,
    /// Replacements in the program, for delays that a test would have to wait for.
    pub(crate) with: Vec<(&'static str, &'static str)>,
}

impl Setup {
    pub(crate) fn new(app: App) -> Self {
        // Wait for every result, however busy the machine is.
        Self {
            app,
            input: None,
            piece: 0,
            clock: true,
            with: vec![("RESULT_TIMEOUT_S = 0.3", "RESULT_TIMEOUT_S = 30.0")],
        }
    }

    pub(crate) fn start(self) -> Camera {
        let mut text = script::text(&self.app.check(self.input).expect("it can be built"));
        for (old, new) in &self.with {
            assert_eq!(text.matches(old).count(), 1, "{old}");
            text = text.replace(old, new);
        }
        let inputs: serde_json::Map<_, _> = script::inputs(&self.app)
            .into_iter()
            .map(|input| (input.name.into(), json!({"blocking": input.blocking, "size": input.queue_size})))
            .collect();
        self.run(&text, &inputs.into())
    }

    /// Runs this text, with these inputs.
    pub(crate) fn run(self, text: &str, inputs: &Value) -> Camera {
        let mut process = Command::new("python3")
            .args(["-I", "-u"])
            .arg(nodes())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a python3: `.ci/need tests` installs it");
        let out = BufReader::new(process.stdout.take().expect("a pipe"));
        let (send, events) = channel();
        std::thread::spawn(move || {
            for line in out.lines() {
                let event: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
                if send.send(event).is_err() {
                    return;
                }
            }
        });
        let stdin = process.stdin.take();
        let listens = self.app.host.is_none();
        let size = script_size(&self.app);
        let mut camera = Camera { process, stdin, events, at: ([127, 0, 0, 1], 0).into(), size };
        let start = json!({
            "inputs": inputs, "outputs": [script::OUTPUT], "device_id": "14442C10D13EABCE00", "ip": "127.0.0.1", "port": 0,
            "piece": self.piece, "clock": self.clock, "parameters": null, "program": text.len(),
        });
        camera.put(&start, &[text.as_bytes()]);
        if listens {
            let port = camera.wait("listening")[1].as_u64().expect("a port");
            camera.at.set_port(port as u16);
        }
        camera
    }
}

fn script_size(app: &App) -> Size {
    app.check(Some(app.size)).map_or(app.size, |checked| checked.sent())
}

/// A camera that runs our Script.
pub(crate) struct Camera {
    process: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Value>,
    pub(crate) at: SocketAddr,
    size: Size,
}

impl Camera {
    pub(crate) fn put(&mut self, what: &Value, bytes: &[&[u8]]) {
        self.put_text(&what.to_string(), &bytes.concat());
    }

    /// Sends raw text to the node, including text that is not valid JSON.
    pub(crate) fn put_text(&mut self, line: &str, bytes: &[u8]) {
        let message = [line.as_bytes(), b"\n", bytes].concat();
        self.stdin.as_mut().expect("it runs").write_all(&message).expect("it reads");
    }

    /// Returns the next time that the node logs an event of this kind.
    pub(crate) fn wait(&mut self, kind: &str) -> Value {
        loop {
            let mut event =
                self.events.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("timed out waiting for `{kind}`"));
            assert!(event.get("ended").is_none(), "the program has ended: {event}");
            if let Some(value) = event.get_mut(kind) {
                return value.take();
            }
        }
    }

    pub(crate) fn time(&mut self, seconds: f64) {
        self.put(&json!({"time": seconds}), &[]);
    }

    pub(crate) fn deliver(&mut self, messages: &[Value], payloads: &[&[u8]]) {
        self.put(&json!({"deliver": messages}), payloads);
    }

    pub(crate) fn picture(&self, seq: u64, us: i64, payload: &[u8]) -> Value {
        json!({"to": "frame", "kind": "ImgFrame", "seq": seq, "us": us, "width": self.size.width, "height": self.size.height,
            "type": "", "bytes": payload.len()})
    }

    /// Delivers a picture and its detections from the same node. Their contents encode the frame number.
    pub(crate) fn pair(&mut self, seq: u64) {
        let payload = pixels(self.size, seq);
        let messages = [found(seq, &boxes(seq)), self.picture(seq, time_of(seq), &payload)];
        self.deliver(&messages, &[&payload]);
    }

    pub(crate) fn frame(&mut self, seq: u64) {
        let payload = pixels(self.size, seq);
        let message = self.picture(seq, time_of(seq), &payload);
        self.deliver(&[message], &[&payload]);
    }

    /// Sensor buffers in use, now and at most.
    pub(crate) fn buffers(&mut self) -> (u64, u64) {
        self.put(&json!({"count": true}), &[]);
        loop {
            let event = self.events.recv_timeout(LIMIT).expect("it counts");
            if let (Some(alive), Some(most)) = (event["alive"].as_u64(), event["most"].as_u64()) {
                return (alive, most);
            }
        }
    }

    /// A client that has read the description at the start of the stream.
    pub(crate) fn client(&mut self) -> Client {
        let client = Client::new(TcpStream::connect(self.at).expect("a connection"));
        self.wait("serving");
        client
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // Ends when its input is closed.
        drop(self.stdin.take());
        let _ = self.process.wait();
    }
}

pub(crate) fn time_of(seq: u64) -> i64 {
    seq as i64 * 33_333
}

pub(crate) fn found(seq: u64, boxes: &[Detection]) -> Value {
    let boxes: Vec<_> = boxes
        .iter()
        .map(|one| {
            let b = one.bbox;
            json!([one.label, one.confidence, b.xmin, b.ymin, b.xmax, b.ymax])
        })
        .collect();
    json!({"to": "detections", "kind": "ImgDetections", "seq": seq, "us": time_of(seq), "boxes": boxes})
}

/// Pixels that encode the number.
pub(crate) fn pixels(size: Size, seq: u64) -> Vec<u8> {
    let len = 3 * size.pixels() as usize;
    let mut bytes: Vec<u8> = (0..len).map(|at| (at as u64 * 7 + seq * 13 + 1) as u8 | 0x80).collect();
    bytes[..8].copy_from_slice(&seq.to_be_bytes());
    bytes
}

/// Boxes that encode the number; every seventh frame has none.
pub(crate) fn boxes(seq: u64) -> Vec<Detection> {
    let share = |n: u64| (n % 10_000) as f32 / 10_000.0;
    (0..seq % 7)
        .map(|n| Detection {
            label: (seq % 80) as u32,
            confidence: 0.5 + (n as f32) / 20.0,
            bbox: oaktap::frame::BBox {
                xmin: share(seq * 3 + n),
                ymin: share(seq * 5 + n),
                xmax: share(seq * 11 + n),
                ymax: share(seq * 17 + n),
            },
            position: None,
        })
        .collect()
}

/// Returns the frame number that the pixels encode. Panics if they differ.
pub(crate) fn number(frame: &Frame) -> u64 {
    let payload = frame.payload();
    let seq = u64::from_be_bytes(*payload.first_chunk().expect("pixels"));
    let geometry = frame.geometry.expect("it was announced");
    assert_eq!(payload, pixels(Size::new(geometry.width, geometry.height), seq), "the pixels of {seq}");
    assert_eq!((frame.camera_seq, frame.device_time.0), (Some(seq), time_of(seq)));
    seq
}

/// Returns whether the boxes belong to this frame, within the digits of the text.
pub(crate) fn has_its_boxes(frame: &Frame) -> bool {
    let expected = boxes(number(frame));
    expected.len() == frame.detections.len()
        && expected.iter().zip(&frame.detections).all(|(a, b)| {
            let near = |a: f32, b: f32, error: f32| (a - b).abs() <= error;
            a.label == b.label
                && near(a.confidence, b.confidence, 0.0006)
                && near(a.bbox.xmin, b.bbox.xmin, 0.00006)
                && near(a.bbox.ymin, b.bbox.ymin, 0.00006)
                && near(a.bbox.xmax, b.bbox.xmax, 0.00006)
                && near(a.bbox.ymax, b.bbox.ymax, 0.00006)
        })
}

/// Reads the stream through the decoder.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    decoder: Decoder,
    events: VecDeque<Event>,
    /// Records since the last frame.
    pub(crate) records: Vec<Record>,
}

impl Client {
    pub(crate) fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        let decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
        Self { socket, decoder, events: VecDeque::new(), records: Vec::new() }
    }

    /// Returns the next frame and collects the records before it in `records`; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Arc<Frame>> {
        self.records.clear();
        self.until(|_| false)
    }

    /// Reads until a matching record or a frame arrives.
    pub(crate) fn until(&mut self, mut enough: impl FnMut(&Record) -> bool) -> Option<Arc<Frame>> {
        loop {
            while let Some(event) = self.events.pop_front() {
                match event {
                    Event::Frame(frame) => return Some(frame),
                    Event::Confirmed(_) => {}
                    Event::Record(record) => {
                        let enough = enough(&record);
                        self.records.push(record);
                        if enough {
                            return None;
                        }
                    }
                    Event::Aged(_) => {}
                    other => panic!("unexpected event in a clean stream: {other:?}"),
                }
            }
            if !self.read() {
                return None;
            }
        }
    }

    fn read(&mut self) -> bool {
        let n = self.socket.read(self.decoder.space()).expect("bytes");
        if n > 0 {
            self.decoder.commit(n, Received::default());
        } else {
            self.decoder.finish();
        }
        self.events.extend(std::iter::from_fn(|| self.decoder.poll()));
        n > 0 || !self.events.is_empty()
    }

    /// Sends a control record.
    pub(crate) fn say(&mut self, text: &str) {
        self.socket.write_all(format!("{text:32}").as_bytes()).expect("it is taken");
    }

    /// Sends a control record and returns the answer.
    pub(crate) fn ask(&mut self, text: &str) -> String {
        self.say(text);
        self.note()
    }

    /// Returns the next answer.
    pub(crate) fn note(&mut self) -> String {
        self.records.clear();
        let frame = self.until(|record| matches!(record, Record::Note(_)));
        assert!(frame.is_none(), "a frame before the answer");
        match self.records.pop() {
            Some(Record::Note(note)) => note,
            other => panic!("no answer but {other:?}"),
        }
    }
}
