//! A running `oaktap publish`, and a subscriber.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::program::{Running, oaktap, signal};

/// Longer than any operation takes on a busy machine.
const AGES: Duration = Duration::from_secs(120);

/// The program. It is killed on drop.
pub(crate) struct Publishing {
    pub(crate) process: Running,
    /// Lines of standard error.
    said: Receiver<String>,
    /// Lines of standard output.
    printed: Receiver<String>,
    all: Vec<String>,
}

fn lines(input: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        BufReader::new(input).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    lines
}

impl Publishing {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::with_environment(arguments, &[])
    }

    /// Starts it with these variables.
    pub(crate) fn with_environment(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = oaktap(arguments);
        command.envs(variables.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let said = lines(child.stderr.take().expect("a pipe"));
        let printed = lines(child.stdout.take().expect("a pipe"));
        Self { process: Running(child), said, printed, all: Vec::new() }
    }

    /// Waits for a line of standard error with this text.
    #[track_caller]
    pub(crate) fn says(&mut self, text: &str) {
        loop {
            match self.said.recv_timeout(AGES) {
                Ok(line) => {
                    let is_it = line.contains(text);
                    self.all.push(line);
                    if is_it {
                        return;
                    }
                }
                Err(error) => panic!("{error}: it has not said `{text}`: {:#?}", self.all),
            }
        }
    }

    /// The last line of standard error that was waited for.
    pub(crate) fn last(&self) -> &str {
        self.all.last().map_or("", String::as_str)
    }

    /// Waits for a line of JSON.
    #[track_caller]
    pub(crate) fn prints(&self, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let line = self.printed.recv_timeout(AGES).expect("a line");
            let value: Value = serde_json::from_str(&line).expect(&line);
            if is_it(&value) {
                return value;
            }
        }
    }

    /// Waits for a line of JSON that is printed after this.
    #[track_caller]
    pub(crate) fn prints_next(&self, is_it: impl FnMut(&Value) -> bool) -> Value {
        self.printed.try_iter().for_each(drop);
        self.prints(is_it)
    }

    /// Ends it like Ctrl-C.
    pub(crate) fn stop(self) -> Ended {
        signal(&self.process.0, "INT");
        self.ended()
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let code = self.process.0.wait().expect("it ends").code().expect("it was not killed");
        self.all.extend(self.said.iter());
        let printed: Vec<String> = self.printed.iter().collect();
        let printed = printed.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
        Ended { code, printed, said: self.all.join("\n") }
    }
}

/// What was left of the program.
pub(crate) struct Ended {
    pub(crate) code: i32,
    /// The lines of JSON.
    pub(crate) printed: Vec<Value>,
    pub(crate) said: String,
}

impl Ended {
    /// Counts of the first target.
    pub(crate) fn target(&self) -> &Value {
        let published = self.printed.iter().find_map(|line| line.get("published")).expect("counts of targets");
        &published[0]
    }

    /// Counts of a lane of a camera; null without one.
    pub(crate) fn lane(&self, camera: usize, name: &str) -> &Value {
        let summary = self.printed.iter().find_map(|line| line.get("summary")).expect("a summary");
        let lanes = summary["cameras"][camera]["lanes"].as_array().expect("a list");
        lanes.iter().find(|lane| lane["name"] == name).unwrap_or(&Value::Null)
    }
}

/// A received message.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) retained: bool,
    pub(crate) topic: String,
    pub(crate) payload: String,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// `mosquitto_sub`, once its subscription is confirmed. It ends after two minutes without the messages that are waited for.
pub(crate) struct Subscriber {
    _process: Running,
    out: BufReader<ChildStdout>,
    pub(crate) received: Vec<Received>,
}

impl Subscriber {
    /// Subscribes to these topics of a broker on this host.
    pub(crate) fn start(port: u16, topics: &[&str]) -> Self {
        let mut command = Command::new("mosquitto_sub");
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-W", "120", "-F", "%r %t %p"]);
        command.args(topics.iter().flat_map(|topic| ["-t", topic]));
        // A message that comes back shows that the subscription works.
        let ready = "test/ready";
        let mut process = command.args(["-t", ready]).stdout(Stdio::piped()).spawn().expect("it starts");
        let out = BufReader::new(process.stdout.take().expect("a pipe"));
        publish(port, ready, &["-r", "-m", "yes"]);
        let mut subscriber = Self { _process: Running(process), out, received: Vec::new() };
        subscriber.until(|message| message.topic == ready);
        subscriber
    }

    /// Waits for a message.
    #[track_caller]
    pub(crate) fn until(&mut self, mut is_it: impl FnMut(&Received) -> bool) -> Received {
        loop {
            let mut line = String::new();
            self.out.read_line(&mut line).expect("UTF-8");
            assert!(!line.is_empty(), "the message has not come: {:#?}", self.received);
            let mut parts = line.trim_end_matches('\n').splitn(3, ' ');
            let mut part = || parts.next().expect("three parts").to_owned();
            let message = Received { retained: part() == "1", topic: part(), payload: part() };
            self.received.push(message.clone());
            if is_it(&message) {
                return message;
            }
        }
    }

    /// Waits until the program is `online` or `offline`.
    #[track_caller]
    pub(crate) fn availability(&mut self, payload: &str) -> Received {
        self.until(|message| message.topic == "oaktap/available" && message.payload == payload)
    }

    /// The messages on a topic so far.
    pub(crate) fn on(&self, topic: &str) -> Vec<&Received> {
        self.received.iter().filter(|message| message.topic == topic).collect()
    }
}

/// Publishes a message.
pub(crate) fn publish(port: u16, topic: &str, more: &[&str]) {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", topic]).args(more);
    assert!(command.status().expect("it starts").success());
}

/// Requests pictures of a camera until one arrives, and returns it.
pub(crate) fn picture(port: u16, camera: &str) -> Vec<u8> {
    let mut command = Command::new("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-W", "120", "-C", "1", "-N", "-q", "0"]);
    command.args(["-t", &format!("oaktap/{camera}/picture")]).stdout(Stdio::piped());
    let mut process: Child = command.spawn().expect("it starts");
    let mut out = process.stdout.take().expect("a pipe");
    let file = std::thread::spawn(move || {
        let mut file = Vec::new();
        out.read_to_end(&mut file).map(|_| file)
    });
    // The subscription may be later than a request.
    while process.try_wait().expect("a process").is_none() {
        publish(port, &format!("oaktap/{camera}/picture/get"), &["-n"]);
    }
    file.join().expect("no panic").expect("a file")
}
