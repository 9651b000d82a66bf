//! Network namespaces connected by virtual cables, and simulated cameras in them. Dropping the values removes both.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use oaktap::discovery::{Answer, CameraState, LinkInfo, PORT, Query};
use oaktap::sim::{SimConfig, Simulator};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The namespaces: host, middle (a switch, a router or a second camera), and camera.
const PARTS: [&str; 3] = ["h", "m", "c"];

/// Three namespaces.
pub(crate) struct Network {
    name: String,
}

impl Network {
    /// Creates the namespaces. Returns `None` and prints the reason if the system does not permit it.
    pub(crate) fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let network = Self { name: format!("oaktap-{}-{number}", std::process::id()) };
        for part in PARTS {
            let Output { status, stderr, .. } = shell(&format!("ip netns add {}-{part}", network.name));
            if !status.success() {
                let why = String::from_utf8_lossy(&stderr).into_owned();
                assert!(part == PARTS[0] && !why.contains("File exists"), "{why}");
                eprintln!("skipped: cannot create a network namespace: {}", why.trim_end());
                return None;
            }
            // In a plain chroot, whose root is not a mount point, a namespace can be created but not entered.
            let Output { status, stderr, .. } = shell(&network.inside(part, "true"));
            if !status.success() {
                let why = String::from_utf8_lossy(&stderr);
                eprintln!("skipped: cannot enter a network namespace: {}", why.trim_end());
                return None;
            }
            network.within(part, "ip link set dev lo up");
        }
        Some(network)
    }

    fn space(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }

    fn connect(&self, (from, one): (&str, &str), (to, other): (&str, &str)) {
        let (a, b) = (self.space(from), self.space(to));
        run(&format!("ip link add {one} netns {a} type veth peer name {other} netns {b}"));
        self.within(from, &format!("ip link set dev {one} up"));
        self.within(to, &format!("ip link set dev {other} up"));
    }

    /// Connects an interface of the host to one of the camera.
    pub(crate) fn cable(&self, host: &str, camera: &str) {
        self.connect(("h", host), ("c", camera));
    }

    pub(crate) fn cable_to_middle(&self, host: &str, middle: &str) {
        self.connect(("h", host), ("m", middle));
    }

    pub(crate) fn cable_from_middle(&self, middle: &str, camera: &str) {
        self.connect(("m", middle), ("c", camera));
    }

    fn within(&self, part: &str, command: &str) {
        run(&self.inside(part, command));
    }

    fn inside(&self, part: &str, command: &str) -> String {
        format!("ip netns exec {} {command}", self.space(part))
    }

    pub(crate) fn host(&self, command: &str) {
        self.within("h", command);
    }

    pub(crate) fn middle(&self, command: &str) {
        self.within("m", command);
    }

    pub(crate) fn camera(&self, command: &str) {
        self.within("c", command);
    }

    /// Runs a command on the host. Returns `true` on success.
    pub(crate) fn host_can(&self, command: &str) -> bool {
        shell(&self.inside("h", command)).status.success()
    }

    /// Runs a command on the camera. Returns `true` on success.
    pub(crate) fn camera_can(&self, command: &str) -> bool {
        shell(&self.inside("c", command)).status.success()
    }

    /// Returns a command that runs `oaktap` on the host. Its process is that of `oaktap`, because `ip` replaces itself.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space("h"), env!("CARGO_BIN_EXE_oaktap")]).args(arguments);
        command.env("NO_COLOR", "1").env("COLUMNS", "100").stdin(Stdio::null());
        command
    }

    /// Runs `oaktap` on the host.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
        (status.code().expect("the program exits by itself"), text(stdout), text(stderr))
    }
}

/// Runs a closure on a thread inside a namespace. A socket stays in the namespace in which it was created.
fn in_namespace<T: Send + 'static>(space: &str, make: impl FnOnce() -> T + Send + 'static) -> T {
    let file = File::open(format!("/run/netns/{space}")).expect("the namespace exists");
    let thread = std::thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter a namespace");
        make()
    });
    thread.join().expect("the closure does not panic")
}

impl Drop for Network {
    fn drop(&mut self) {
        for part in PARTS {
            // Fails for a namespace that could not be created.
            let _ = shell(&format!("ip netns del {}", self.space(part)));
        }
    }
}

fn shell(command: &str) -> Output {
    Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output().expect("a shell")
}

fn run(command: &str) {
    let Output { status, stderr, .. } = shell(command);
    assert!(status.success(), "{command}: {}", String::from_utf8_lossy(&stderr));
}

/// A camera that runs its application: it answers discovery and streams on port 5000.
pub(crate) struct Camera {
    stop: Arc<AtomicBool>,
    answering: Option<JoinHandle<()>>,
    stream: Option<Simulator>,
    space: String,
}

impl Camera {
    pub(crate) fn start(network: &Network, id: &str) -> Self {
        Self::start_in(network, "c", id)
    }

    pub(crate) fn start_in_middle(network: &Network, id: &str) -> Self {
        Self::start_in(network, "m", id)
    }

    fn start_in(network: &Network, part: &str, id: &str) -> Self {
        let space = network.space(part);
        let (udp, tcp) = in_namespace(&space, || {
            let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("a free port");
            (udp, TcpListener::bind((Ipv4Addr::UNSPECIFIED, 5000)).expect("a free port"))
        });
        let config: SimConfig = "size=64x48&fps=50".parse().expect("a valid configuration");
        let stream = Simulator::start(tcp, &config).expect("the simulator starts");
        // The thread checks the stop flag after each timeout.
        udp.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket setting");
        let stop = Arc::new(AtomicBool::new(false));
        let answering = std::thread::spawn({
            let (stop, id) = (Arc::clone(&stop), id.to_owned());
            move || answer(&udp, &id, &stop)
        });
        Self { stop, answering: Some(answering), stream: Some(stream), space }
    }
}

fn answer(socket: &UdpSocket, id: &str, stop: &AtomicBool) {
    let mut buffer = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let id = id.to_owned();
        let answer = match Query::parse(&buffer[..length]) {
            Some(Query::Discover) => Answer::Simple { id, state: CameraState::FlashBooted },
            Some(Query::Info) => Answer::Info(LinkInfo { id, speed_mbit_s: 1000, full_duplex: true, boot_mode: 3 }),
            // `list` and `doctor` must not reset a camera.
            Some(Query::Reset) => panic!("a camera was reset"),
            None => panic!("{:?} is not a query", &buffer[..length]),
        };
        // A camera without a route back cannot send its answer.
        let _ = socket.send_to(&answer.to_bytes(), from);
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let answered = self.answering.take().map(JoinHandle::join);
        // The simulator connects to itself to stop, which works only inside its namespace.
        let stream = self.stream.take();
        in_namespace(&self.space, || drop(stream));
        if !std::thread::panicking() {
            answered.expect("the thread was started").expect("the camera received only permitted queries");
        }
    }
}
