//! Tests of the camera in memory with a scripted host.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::application::stand_in;
use super::*;
use crate::bootloader::{
    BUDGET_BYTES, BootHeader, BootloaderType, Memory, Request, Response, STREAM, Storage, Version,
    WATCHDOG_BUDGET_BYTES, WATCHDOG_STREAM,
};
use crate::discovery::{Answer, CameraState, Query};
use crate::package::djb2;
use crate::xlink::{Link, LinkEvent, StreamId};

const MS: Duration = Duration::from_millis(1);

/// A host that is connected to a camera.
struct Host {
    camera: SimulatedCamera,
    link: Link,
    streams: Option<(StreamId, StreamId)>,
    received: Vec<Vec<u8>>,
    lost: bool,
    now: Duration,
}

impl Host {
    fn of(text: &str) -> Self {
        let camera = SimulatedCamera::new(text.parse().expect(text), Duration::ZERO).expect(text);
        Self::at(camera, Duration::ZERO)
    }

    fn at(camera: SimulatedCamera, now: Duration) -> Self {
        Self { camera, link: Link::host(), streams: None, received: Vec::new(), lost: true, now }
    }

    /// Connects and opens its streams.
    fn connect(mut self) -> Self {
        assert!(self.camera.connected(self.now), "{:?}", self.camera.activity());
        (self.link, self.lost) = (Link::host(), false);
        self.run();
        self.streams =
            Some((self.link.open(STREAM, BUDGET_BYTES), self.link.open(WATCHDOG_STREAM, WATCHDOG_BUDGET_BYTES)));
        self.run();
        self
    }

    /// Moves bytes until neither side has output.
    fn run(&mut self) {
        while !self.lost {
            let there = self.link.output().to_vec();
            self.link.consumed(there.len());
            self.camera.input(&there, self.now);
            let back = self.camera.output().to_vec();
            self.camera.consumed(back.len(), self.now);
            self.link.handle_input(&back).expect("a camera speaks XLink");
            while let Some(event) = self.link.poll() {
                if let LinkEvent::Packet(_, bytes) = event {
                    self.received.push(bytes);
                }
            }
            let quiet = there.is_empty() && back.is_empty();
            if quiet && self.camera.is_leaving() {
                self.leave();
            }
            if quiet {
                return;
            }
        }
    }

    fn leave(&mut self) {
        self.lost = true;
        self.camera.disconnected(self.now);
    }

    fn send(&mut self, bytes: Vec<u8>) {
        let (main, _) = self.streams.expect("it is connected");
        self.link.send(main, bytes);
        self.run();
    }

    /// Sends a request with data and returns all responses.
    fn ask(&mut self, request: &Request, data: &[u8]) -> Vec<Response> {
        self.received.clear();
        self.send(request.to_bytes());
        for packet in data.chunks(BUDGET_BYTES as usize) {
            self.send(packet.to_vec());
        }
        self.received.iter().map(|bytes| Response::parse(bytes).expect("an answer")).collect()
    }

    fn answer(&mut self, request: &Request) -> Response {
        let answers = self.ask(request, &[]);
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.into_iter().next().expect("one")
    }

    /// Writes and returns the final response.
    fn write(&mut self, request: &Request, data: &[u8]) -> Result<(), String> {
        match self.ask(request, data).pop() {
            Some(Response::FlashComplete(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, memory: Memory, offset: u32, total: u32) -> Vec<u8> {
        self.received.clear();
        self.send(Request::ReadFlash { memory, offset, total }.to_bytes());
        let Ok(Response::ReadFlash(Ok(announced))) = Response::parse(&self.received[0]) else { panic!() };
        assert_eq!((announced.total, announced.packets as usize), (total, self.received.len() - 1));
        self.received[1..].concat()
    }

    /// Advances the time until no action is due.
    fn wait(&mut self) {
        while let Some(due) = self.camera.poll_timeout() {
            self.now = self.now.max(due);
            self.camera.handle_timeout(self.now);
            self.run();
        }
    }

    /// Ends the session and waits until no action is due.
    fn reset(&mut self) {
        self.link.reset();
        self.run();
        self.wait();
    }

    /// Ends the session and begins the next one.
    fn again(mut self) -> Self {
        if !self.lost {
            self.link.reset();
            self.run();
        }
        if self.camera.activity() == Activity::Starting {
            self.now = self.camera.poll_timeout().expect("it starts");
            self.camera.handle_timeout(self.now);
        }
        self.connect()
    }

    fn state(&mut self) -> Option<CameraState> {
        let answers = self.camera.datagram(&Query::Discover.to_bytes(), self.now);
        let answer = answers.first().map(|bytes| Answer::parse(bytes).expect("an answer"))?;
        let (Answer::Simple { state, .. } | Answer::Extended { state, .. }) = answer else { panic!("{answer:?}") };
        Some(state)
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut word = 7u32;
    let step = |_| {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (word >> 24) as u8
    };
    (0..len).map(step).collect()
}

/// A package of about `len` bytes: the stand-in with a longer last section.
fn package(len: usize) -> Vec<u8> {
    let mut image = stand_in();
    let entry = 2 + 30 * 2;
    let offset = u32::from_le_bytes(image[entry + 20..entry + 24].try_into().expect("4 bytes")) as usize;
    image.truncate(offset);
    image.extend(noise(len - offset));
    let (size, sum) = ((image.len() - offset) as u32, djb2(&image[offset..]));
    image[entry + 16..entry + 20].copy_from_slice(&size.to_le_bytes());
    image[entry + 24..entry + 28].copy_from_slice(&sum.to_le_bytes());
    image
}

/// A bootable image.
fn bootloader(len: usize) -> Vec<u8> {
    [b"MA2x", &noise(len - 4)[..]].concat()
}

fn packets(len: usize) -> u32 {
    len.div_ceil(BUDGET_BYTES as usize) as u32
}

fn flash(storage: Storage, data: &[u8]) -> Request {
    Request::UpdateFlash { storage, total: data.len() as u32, packets: packets(data.len()) }
}

fn put(memory: Memory, offset: u32, data: &[u8]) -> Request {
    Request::WriteFlash { memory, offset, total: data.len() as u32, packets: packets(data.len()) }
}

fn configure(data: &[u8]) -> Request {
    let (memory, total) = (Memory::Auto, data.len() as u32);
    Request::SetConfig { memory, offset: -1, clear: data.is_empty(), total, packets: (total > 0).into() }
}

/// A document of whole numbers.
fn document(fields: &[(&str, i32)]) -> Vec<u8> {
    let fields: Vec<u8> = fields
        .iter()
        .flat_map(|(name, value)| [&[0x10], name.as_bytes(), &[0], &value.to_le_bytes()].concat())
        .collect();
    [&(fields.len() as u32 + 5).to_le_bytes()[..], &fields, &[0]].concat()
}

/// A document with one within it.
fn network(fields: &[(&str, i32)], is_static: bool) -> Vec<u8> {
    let mut inner = document(fields);
    inner.pop();
    inner.extend([&b"\x08staticIpv4\0"[..], &[is_static.into(), 0]].concat());
    let len = inner.len() as u32;
    inner[..4].copy_from_slice(&len.to_le_bytes());
    let fields = [&b"\x03network\0"[..], &inner].concat();
    [&(fields.len() as u32 + 5).to_le_bytes()[..], &fields, &[0]].concat()
}

#[test]
fn responses_equal_those_of_the_transcripts() {
    // Transcript 06; long responses are compared by SHA-256.
    let mut host = Host::of("commit=").connect();
    let zeros = |len: usize| "00".repeat(len);
    for (request, expected) in [
        (Request::Version, "0200000000000000000000001c000000".to_owned()),
        (Request::Commit, format!("07{}", zeros(67))),
        (Request::Type, "0300000001000000".to_owned()),
        (Request::IsUserBootloader, "0b00000000000000".to_owned()),
        (
            Request::GetConfig { memory: Memory::Auto, offset: -1, max: 0 },
            format!("04000000000000004e6f20636f6e66696720617661696c61626c65{}", zeros(53)),
        ),
        (
            Request::ReadFlash { memory: Memory::Flash, offset: 0x7fff_fff0, total: 64 },
            format!("080000000000000052656164206f7574206f6620626f756e6473{}", zeros(54)),
        ),
    ] {
        host.answer(&request);
        let hex: String = host.received[0].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected, "{}", request.name());
    }
    for (request, sha256) in [
        (
            Request::MemoryDetails { memory: Memory::Flash },
            "0a42f78038e25ad86f05e5297548d22b2340ac82d5f93873101a06bfe1a349be",
        ),
        (
            Request::MemoryDetails { memory: Memory::Emmc },
            "46cdcf85778f8ca7b8d566dfadd4990dd42810b73945630c3a94ab17f2fc3fb1",
        ),
        (
            Request::MemoryDetails { memory: Memory::Auto },
            "d9fe838add2b0f191e590136699ed35f8dac11579cc1fd25111adce1a33a3da7",
        ),
        (
            Request::Application { memory: Memory::Flash },
            "5e4403cabe27e6aa3d39e265d6bc50d4e94baf7e0ff90e3d82d0c2c9c084c067",
        ),
    ] {
        host.answer(&request);
        let hash: String = Sha256::digest(&host.received[0]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, sha256, "{}", request.name());
    }
}

#[test]
fn application_is_flashed_read_back_and_booted() {
    let image = package((12 << 20) + 77);
    let mut host = Host::of("").connect();
    let answers = host.ask(&flash(Storage::Application, &image), &image);
    let mut expected: Vec<_> = (0..=12).map(|step| Response::Progress(step as f32 / 12.0)).collect();
    expected.push(Response::FlashComplete(Ok(())));
    assert_eq!(answers, expected);
    assert_eq!(host.read(Memory::Flash, 0x80_0000, image.len() as u32), image);
    let Response::Application(Ok(details)) = host.answer(&Request::Application { memory: Memory::Flash }) else {
        panic!()
    };
    assert_eq!((details.present, details.firmware_version), (true, Some("0".repeat(40))));
    assert!(details.name.is_some());
    assert_eq!(host.state(), Some(CameraState::Bootloader));
    host.reset();
    assert_eq!(
        (host.camera.activity(), host.state()),
        (Activity::Application { silent: false }, Some(CameraState::FlashBooted))
    );
    assert!(!host.camera.connected(host.now), "no bootloader runs beside an application");
    host.camera.datagram(&Query::Reset.to_bytes(), host.now);
    assert_eq!((host.camera.activity(), host.state()), (Activity::Starting, None));
    let mut host = host.again();
    assert_eq!(host.state(), Some(CameraState::Bootloader));
    // The vendor's client clears only the table.
    let blank = [0xFF; 512];
    assert_eq!(host.write(&put(Memory::Auto, 0x80_0000, &blank), &blank), Ok(()));
    host.reset();
    assert_eq!(host.camera.activity(), Activity::Bootloader);
    let account = host.camera.history();
    assert_eq!((account.sessions, account.boots, account.restarts), (2, 1, 3));
    assert_eq!(account.requests.len(), 4);
}

#[test]
fn damaged_and_oversized_packages_are_refused_without_a_write() {
    let whole = package(100_000);
    let mut host = Host::of("nor=16MiB").connect();
    assert_eq!(host.write(&flash(Storage::Application, &whole), &whole), Ok(()));
    let mut damaged = whole.clone();
    damaged[90_000] ^= 1;
    let request = flash(Storage::Application, &damaged);
    assert_eq!(host.write(&request, &damaged), Err("Sbr section index: 2 checksum mismatch".into()));
    let large = package((8 << 20) + 1);
    let answers = host.ask(&flash(Storage::Application, &large), &large);
    assert_eq!(answers, [Response::FlashComplete(Err("Not enough space: 8388609->8388608B".into()))]);
    let there = host.ask(&put(Memory::Emmc, 0, b"x"), b"x");
    assert_eq!(there, [Response::FlashComplete(Err("No eMMC memory available".into()))]);
    assert_eq!(host.read(Memory::Flash, 0x80_0000, whole.len() as u32), whole);
    host.reset();
    assert_eq!(host.state(), Some(CameraState::FlashBooted));
}

#[test]
fn data_that_differs_from_its_announcement_is_refused() {
    let mut host = Host::of("").connect();
    let announced = |total, packets| Request::WriteFlash { memory: Memory::Flash, offset: 1 << 24, total, packets };
    let refused = |why: &str| [Response::FlashComplete(Err(why.to_owned()))];
    assert_eq!(host.ask(&announced(5, 1), b"1234"), refused("Didn't receive all data from host"));
    assert_eq!(host.ask(&announced(3, 1), b"1234"), refused("packageWriteOffset: 4, should be: 3"));
    assert_eq!(host.ask(&announced(3, 0), b""), refused("Didn't receive all data from host"));
    assert_eq!(host.ask(&announced(0, 0), b""), refused("Total size of flash package 0, skipping..."));
    assert_eq!(host.ask(&announced(u32::MAX, 1), b"1234"), refused("No memory available"));
    assert_eq!(host.write(&announced(4, 1), b"1234"), Ok(()));
    // Packets can have any size if their number is right.
    host.ask(&announced(6, 3), &[]);
    for packet in [&b"a"[..], b"bcd", b"ef"] {
        host.send(packet.to_vec());
    }
    assert_eq!(host.read(Memory::Flash, 1 << 24, 6), b"abcdef");
}

#[test]
fn application_is_written_to_the_default_memory_and_booted_from_the_configured_one() {
    let image = package(5000);
    let mut host = Host::of("emmc=64MiB").connect();
    assert_eq!(host.write(&flash(Storage::Application, &image), &image), Ok(()));
    assert_eq!(host.read(Memory::Emmc, 0x80_0000, 5000), image);
    assert_eq!(host.read(Memory::Flash, 0x80_0000, 8), [0xFF; 8]);
    let Response::MemoryDetails(Some(details)) = host.answer(&Request::MemoryDetails { memory: Memory::Emmc }) else {
        panic!()
    };
    assert_eq!(details.size, 64 << 20);
    // Only the memory that `appMem` names is booted.
    for (memory, boots) in [(0, false), (1, true), (-1, true)] {
        let config = document(&[("appMem", memory)]);
        assert_eq!(host.write(&configure(&config), &config), Ok(()));
        host.reset();
        assert_eq!(host.state() == Some(CameraState::FlashBooted), boots, "appMem {memory}");
        host.camera.datagram(&Query::Reset.to_bytes(), host.now);
        host = host.again();
    }
    assert_eq!(host.answer(&Request::BootApplication), Response::BootApplication(Ok(())));
    host.run();
    assert!(host.lost);
    assert_eq!(host.state(), Some(CameraState::FlashBooted));
}

#[test]
fn configuration_is_stored_read_and_cleared() {
    let mut host = Host::of("").connect();
    let get = Request::GetConfig { memory: Memory::Auto, offset: -1, max: 0 };
    let config = document(&[("appMem", -1), ("something", 7)]);
    assert_eq!(host.write(&configure(&config), &config), Ok(()));
    let mut host = host.again();
    for (offset, max) in [(-1, 0), (0x7f_c000, 16_384)] {
        host.received.clear();
        host.send(Request::GetConfig { memory: Memory::Flash, offset, max }.to_bytes());
        assert_eq!(host.received[1], config);
    }
    let Response::Config(Err(_)) = host.answer(&Request::GetConfig { memory: Memory::Flash, offset: -1, max: 3 })
    else {
        panic!()
    };
    let wrong = b"\x05\0\0\0\x07".to_vec();
    assert_eq!(host.write(&configure(&wrong), &wrong), Err("Couldn't parse configuration data".into()));
    assert_eq!(host.write(&configure(&[]), &[]), Ok(()));
    assert_eq!(host.answer(&get), Response::Config(Err("No config available".into())));
}

#[test]
fn configuration_sets_timeout_and_address() {
    let mut host = Host::of("").connect();
    let image = package(5000);
    assert_eq!(host.write(&flash(Storage::Application, &image), &image), Ok(()));
    let config = network(&[("ipv4", i32::from_le_bytes([127, 0, 0, 9])), ("timeoutMs", 1234)], true);
    assert_eq!(host.write(&configure(&config), &config), Ok(()));
    assert_eq!(host.camera.address(), None, "applied at the next start");
    host.reset();
    assert_eq!(host.camera.address(), Some([127, 0, 0, 9]));
    assert_eq!(host.state(), Some(CameraState::FlashBooted));
    host.camera.datagram(&Query::Reset.to_bytes(), host.now);
    let before = host.now;
    host.wait();
    assert_eq!(host.now - before, (50 + 1234) * MS);
    host.camera.datagram(&Query::Reset.to_bytes(), host.now);
    let mut host = host.again();
    let config = network(&[("timeoutMs", -1)], false);
    assert_eq!(host.write(&configure(&config), &config), Ok(()));
    host.reset();
    assert_eq!((host.state(), host.camera.address()), (Some(CameraState::Bootloader), None));
}

#[test]
fn bootloader_is_replaced_and_an_invalid_one_is_final() {
    let image = bootloader(3 << 20);
    let mut host = Host::of("bootloader=0.0.21&image=0.0.28").connect();
    assert_eq!(host.write(&flash(Storage::Bootloader, &image), &image), Ok(()));
    assert_eq!(host.read(Memory::Flash, 512, image.len() as u32), image);
    assert_eq!(host.answer(&Request::Version), Response::Version(Version::new(0, 0, 21)), "until it restarts");
    let mut host = host.again();
    assert_eq!(host.answer(&Request::Version), Response::Version(Version::new(0, 0, 28)));
    assert_eq!(host.write(&flash(Storage::Bootloader, b"no image"), b"no image"), Ok(()));
    host.reset();
    assert_eq!((host.camera.activity(), host.state()), (Activity::Recovery, None));
}

#[test]
fn interrupted_bootloader_write_leaves_usb_recovery() {
    for (fault, activity) in [("drop-progress:0.5", Activity::Recovery), ("refuse", Activity::Bootloader)] {
        let image = bootloader(3 << 20);
        let mut host = Host::of(&format!("fault={fault}")).connect();
        host.ask(&flash(Storage::Bootloader, &image), &image);
        host.leave();
        host.wait();
        assert_eq!(host.camera.activity(), activity, "{fault}");
    }
    let mut host = Host::of("").connect();
    let header = Request::UpdateBootHeader {
        header: BootHeader::UsbRecovery,
        offset: -1,
        location: -1,
        dummy_cycles: -1,
        frequency: -1,
        gpio_mode: -1,
    };
    assert_eq!(host.answer(&header), Response::FlashComplete(Ok(())));
    host.reset();
    assert_eq!(host.camera.activity(), Activity::Recovery);
}

#[test]
fn factory_image_overwrites_configuration_and_application() {
    let mut host = Host::of("").connect();
    let app = package(5000);
    assert_eq!(host.write(&flash(Storage::Application, &app), &app), Ok(()));
    let config = document(&[("appMem", 0)]);
    assert_eq!(host.write(&configure(&config), &config), Ok(()));
    // Section 6 of bootloader.md: padded to 8 MiB and 512 bytes.
    let mut image = bootloader(1 << 20);
    image.resize((8 << 20) + 512, 0xFF);
    let request = flash(Storage::Bootloader, &image);
    assert_eq!(request, Request::UpdateFlash { storage: Storage::Bootloader, total: 8_389_120, packets: 2 });
    assert_eq!(host.write(&request, &image), Ok(()));
    let mut host = host.again();
    let get = Request::GetConfig { memory: Memory::Auto, offset: -1, max: 0 };
    assert_eq!(host.answer(&get), Response::Config(Err("No config available".into())));
    let Response::Application(Ok(details)) = host.answer(&Request::Application { memory: Memory::Flash }) else {
        panic!()
    };
    assert!(!details.present);
    assert_eq!(host.read(Memory::Flash, 512, image.len() as u32), image);
}

#[test]
fn user_bootloader_runs_if_its_checksum_is_right() {
    let image = bootloader(100_000);
    let mut host = Host::of("bootloader=0.0.21&image=0.0.28").connect();
    assert_eq!(host.write(&put(Memory::Flash, 0x40_0000, &image), &image), Ok(()));
    let sum = djb2(&image).cast_signed();
    for (size, sum, runs) in [(100_000, sum, true), (100_000, sum ^ 1, false), (0, sum, false)] {
        let config = document(&[("userBlSize", size), ("userBlChecksum", sum)]);
        assert_eq!(host.write(&configure(&config), &config), Ok(()));
        host = host.again();
        assert_eq!(host.answer(&Request::IsUserBootloader), Response::IsUserBootloader(runs));
        let version = Version::new(0, 0, if runs { 28 } else { 21 });
        assert_eq!(host.answer(&Request::Version), Response::Version(version));
    }
}

#[test]
fn image_is_booted_from_memory() {
    let mut host = Host::of("bootloader=0.0.15&claims=0.0.16").connect();
    assert_eq!(host.answer(&Request::Version), Response::Version(Version::new(0, 0, 16)));
    for (image, version) in [(bootloader(6 << 20), 28), (b"not one".to_vec(), 15)] {
        let boot = Request::BootMemory { total: image.len() as u32, packets: packets(image.len()) };
        assert_eq!(host.ask(&boot, &image), [], "no response, but the connection closes");
        assert!(host.lost);
        host = host.again();
        host.camera.set_faults(CameraFaults::default());
        assert_eq!(host.answer(&Request::Type), Response::Type(BootloaderType::Network));
        let running = host.ask(&Request::Commit, &[]).len();
        assert_eq!(running == 1, version >= 18, "only the new one has a commit");
    }
    assert_eq!(host.ask(&Request::UsbRomBoot, &[]), []);
    assert_eq!(host.camera.activity(), Activity::Recovery);
}

#[test]
fn old_bootloaders_do_not_know_new_requests() {
    let unknown = [Response::NoOp { invalid: true }];
    for (patch, memory, user) in [(14, None, None), (19, Some(true), None), (21, Some(true), Some(true))] {
        let mut host = Host::of(&format!("bootloader=0.0.{patch}")).connect();
        let details = host.ask(&Request::MemoryDetails { memory: Memory::Flash }, &[]);
        assert_eq!(!details.is_empty(), memory.is_some(), "0.0.{patch}");
        assert_eq!(!host.ask(&Request::IsUserBootloader, &[]).is_empty(), user.is_some(), "0.0.{patch}");
        host.received.clear();
        host.send(vec![99, 0, 0, 0]);
        let responses: Vec<_> = host.received.iter().map(|bytes| Response::parse(bytes).expect("an answer")).collect();
        assert_eq!(responses == unknown, patch >= 21);
    }
    // 0.0.1x does not check the space and overwrites itself.
    let image = package(9 << 20);
    let mut host = Host::of("bootloader=0.0.15&nor=16MiB").connect();
    assert_eq!(host.write(&flash(Storage::Application, &image), &image), Ok(()));
    host.reset();
    assert_eq!(host.camera.activity(), Activity::Recovery);
}

#[test]
fn write_faults_have_their_effects_and_a_retry_succeeds() {
    let image = package(4 << 20);
    let request = flash(Storage::Application, &image);
    let progress = |steps: usize| (0..=steps).map(|step| Response::Progress(step as f32 / 4.0)).collect::<Vec<_>>();
    let complete = |result: Result<(), &str>| Response::FlashComplete(result.map_err(str::to_owned));
    let again = "Couldn't flash update, try again";
    let all = |mut answers: Vec<Response>, last: Vec<Response>| {
        answers.extend(last);
        answers
    };
    for (fault, answers, lost, there) in [
        ("refuse", vec![complete(Err(again))], false, false),
        ("refuse-late:0.5", all(progress(2), vec![complete(Err(again))]), false, false),
        ("drop-progress:0.5", vec![], true, false),
        ("drop:2000000", vec![], true, false),
        ("stall-progress:0.5", progress(2), false, false),
        ("freeze:2000000", vec![], false, false),
        ("bad-response", all(progress(4), vec![Response::IsUserBootloader(false)]), false, true),
        ("not-written", all(progress(4), vec![complete(Ok(()))]), false, false),
        ("corrupt:3000000", all(progress(4), vec![complete(Ok(()))]), false, false),
    ] {
        let mut host = Host::of(&format!("fault={fault}*1")).connect();
        let responses = host.ask(&request, &image);
        if !lost {
            assert_eq!(responses, answers, "{fault}");
        }
        assert_eq!(host.lost, lost, "{fault}");
        host.leave();
        let mut host = host.again();
        let written = host.read(Memory::Flash, 0x80_0000, image.len() as u32);
        assert_eq!(written == image, there, "{fault}");
        let different = written.iter().zip(&image).filter(|(a, b)| a != b).count();
        assert_eq!(different == 1, fault.starts_with("corrupt"), "{fault}: {different}");
        assert_eq!(host.write(&request, &image), Ok(()), "{fault}: a retry");
        assert_eq!(host.read(Memory::Flash, 0x80_0000, image.len() as u32), image, "{fault}");
        host.reset();
        assert_eq!(host.state(), Some(CameraState::FlashBooted), "{fault}");
    }
    let mut host = Host::of("fault=short-response").connect();
    host.received.clear();
    host.send(request.to_bytes());
    host.send(image.clone());
    assert_eq!(host.received.last().map(Vec::len), Some(36), "half of 72 bytes");
    let mut host = Host::of("fault=bad-response:GET_MEMORY_DETAILS*1").connect();
    let details = Request::MemoryDetails { memory: Memory::Flash };
    assert_eq!(host.answer(&details), Response::IsUserBootloader(false));
    assert!(matches!(host.answer(&details), Response::MemoryDetails(Some(_))));
}

#[test]
fn requests_that_no_host_sends_are_answered() {
    let mut host = Host::of("").connect();
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    // BOOTLOADER_MEMORY, and UPDATE_FLASH_EX of the application's and of an unknown section.
    host.received.clear();
    host.send(words(&[11]));
    assert_eq!(host.received, [words(&[5, 0])]);
    host.send(words(&[5, 0, 3, 4, 1]));
    host.received.clear();
    host.send(b"here".to_vec());
    assert_eq!(host.received.last().map(|bytes| Response::parse(bytes)), Some(Ok(Response::FlashComplete(Ok(())))));
    assert_eq!(host.read(Memory::Flash, 0x80_0000, 4), b"here");
    for wrong in [&[5, 0, 9, 4, 1][..], &[5, 7, 3, 4, 1], &[5, 0, 3], &[5]] {
        host.received.clear();
        host.send(words(wrong));
        assert_eq!(host.received, [words(&[12, 1])], "{wrong:?}");
    }
}

#[test]
fn interrupted_write_leaves_no_application() {
    let image = package(4 << 20);
    let mut host = Host::of("").connect();
    assert_eq!(host.write(&flash(Storage::Application, &image), &image), Ok(()));
    host.camera.set_faults("drop-progress:0.75".parse().expect("a fault"));
    host.ask(&flash(Storage::Application, &image), &image);
    host.wait();
    assert_eq!(host.state(), Some(CameraState::Bootloader));
    assert!(
        host.camera.memory(Memory::Flash).expect("flash").read(0x80_0000, 4096).expect("inside")[..] == [0xFF; 4096]
    );
}

#[test]
fn connection_and_configuration_faults_have_their_effects() {
    let mut host = Host::of("fault=no-credit").connect();
    let (main, watchdog) = host.streams.expect("streams");
    for _ in 0..20 {
        host.link.send(watchdog, vec![0; 4]);
        host.run();
    }
    assert_eq!(host.link.waiting(watchdog), 4, "64 bytes are 16 pings");
    host.send(Request::Version.to_bytes());
    assert_eq!((host.link.outstanding(main), host.received.len()), (4, 1));

    let mut host = Host::of("fault=drop-output:1000000").connect();
    host.received.clear();
    host.send(Request::ReadFlash { memory: Memory::Flash, offset: 0, total: 2 << 20 }.to_bytes());
    assert!(host.lost && host.received.len() == 1);

    for (fault, before) in [("config-refused", false), ("config-not-written", true)] {
        let mut host = Host::of(&format!("fault={fault}*1")).connect();
        let config = document(&[("appMem", 0)]);
        assert_eq!(host.write(&configure(&config), &config).is_ok(), before, "{fault}");
        let get = Request::GetConfig { memory: Memory::Auto, offset: -1, max: 0 };
        assert_eq!(host.answer(&get), Response::Config(Err("No config available".into())), "{fault}");
        assert_eq!(host.write(&configure(&config), &config), Ok(()));
    }
}

#[test]
fn restart_and_discovery_faults_have_their_effects() {
    for (fault, state) in [
        ("no-boot", Some(CameraState::Bootloader)),
        ("taken", Some(CameraState::Booted)),
        ("vanish", None),
        ("mute", None),
        ("silent", Some(CameraState::FlashBooted)),
    ] {
        let mut host = Host::of(&format!("fault={fault}")).connect();
        let image = package(5000);
        assert_eq!(host.write(&flash(Storage::Application, &image), &image), Ok(()));
        host.reset();
        assert_eq!(host.state(), state, "{fault}");
        assert_eq!(host.camera.activity() == Activity::Application { silent: true }, fault == "silent");
    }
    let mut host = Host::of("state=application&fault=deaf*1");
    host.camera.datagram(&Query::Reset.to_bytes(), host.now);
    assert_eq!(host.state(), Some(CameraState::FlashBooted));
    host.camera.datagram(&Query::Reset.to_bytes(), host.now);
    assert_eq!(host.state(), None);
}

#[test]
fn discovery_answers_in_each_state_and_format() {
    let mut host = Host::of("state=in-use");
    assert_eq!(host.state(), Some(CameraState::Booted));
    host.camera.datagram(&Query::Reset.to_bytes(), host.now);
    assert_eq!(host.state(), Some(CameraState::Booted), "a reset does not take the camera from its host");
    assert!(!host.camera.connected(host.now));

    let mut host = Host::of("answer=both&id=ABC&ethernet=100half");
    let answers = host.camera.datagram(&Query::Discover.to_bytes(), host.now);
    assert_eq!(answers.iter().map(Vec::len).collect::<Vec<_>>(), [40, 52]);
    let info = host.camera.datagram(&Query::Info.to_bytes(), host.now);
    let Ok(Answer::Info(info)) = Answer::parse(&info[0]) else { panic!("{info:?}") };
    assert_eq!((info.id.as_str(), info.speed_mbit_s, info.full_duplex, info.boot_mode), ("ABC", 100, false, 3));
    assert_eq!(host.camera.datagram(b"\x09\0\0\0", host.now), Vec::<Vec<u8>>::new());
    assert_eq!(Host::of("ethernet=none").camera.datagram(&Query::Info.to_bytes(), MS), Vec::<Vec<u8>>::new());
}

#[test]
fn streams_work_in_every_opening_order() {
    for opening in ["first", "after", "never"] {
        for stale in ["on", "off"] {
            let mut host = Host::of(&format!("open={opening}&stale={stale}&packet=1000")).connect();
            let data = noise(2500);
            assert_eq!(host.write(&put(Memory::Flash, 1 << 20, &data), &data), Ok(()), "{opening} {stale}");
            assert_eq!(host.read(Memory::Flash, 1 << 20, 2500), data);
            assert_eq!(host.received.len(), 4, "packets of 1000 bytes");
        }
    }
}

#[test]
fn second_host_is_refused_and_noise_ends_a_session() {
    let mut host = Host::of("").connect();
    assert!(!host.camera.connected(host.now));
    host.camera.input(&[0xEE; 84], host.now);
    host.run();
    assert!(host.lost);
    let mut host = host.again();
    assert_eq!(host.answer(&Request::Type), Response::Type(BootloaderType::Network));
}

#[test]
fn missing_watchdog_pings_end_the_session() {
    let mut host = Host::of("watchdog=6s").connect();
    let (_, watchdog) = host.streams.expect("streams");
    for _ in 0..10 {
        host.now += 750 * MS;
        host.camera.handle_timeout(host.now);
        host.link.send(watchdog, vec![0; 4]);
        host.run();
    }
    let account = host.camera.history();
    assert_eq!((account.pings, account.longest_silence, host.lost), (10, 750 * MS, false));
    host.now += 6000 * MS;
    host.camera.handle_timeout(host.now);
    host.run();
    assert!(host.lost);
    let mut host = host.again();
    let (_, watchdog) = host.streams.expect("streams");
    host.link.send(watchdog, vec![1, 0, 0, 0]);
    host.run();
    assert!(host.lost, "the host requests a reset");
}

#[test]
fn write_rate_limits_writes() {
    let mut host = Host::of("write-rate=1MiB").connect();
    let image = package(4 << 20);
    assert_eq!(host.ask(&flash(Storage::Application, &image), &image), [Response::Progress(0.0)]);
    host.received.clear();
    for second in 1..=4 {
        assert_eq!(host.camera.poll_timeout(), Some(1000 * second * MS));
        host.now = 1000 * second * MS;
        host.camera.handle_timeout(host.now);
        host.run();
    }
    assert_eq!(host.received.len(), 5);
    assert_eq!(Response::parse(&host.received[4]), Ok(Response::FlashComplete(Ok(()))));
}
