//! The flasher and the simulated camera, connected in memory with a simulated clock: everything that can fail, and that
//! a retry succeeds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use oaktap::bootloader::{
    ApplicationDetails, Caller, ClientError, ClientOptions, Conversation, ConversationEvent, Memory, Request, Storage,
    Version, map,
};
use oaktap::flash::{
    BootloaderImage, FlashError, Flashed, Phase, Plan, Target, Wish, application, boot_from_memory, erase,
    read_applications, write_factory, write_user,
};
use oaktap::package::{Package, PackageBuilder};
use oaktap::sim::bootloader::{Activity, CameraFaults, LineShape, Pipe, SimulatedCamera};

const S: Duration = Duration::from_secs(1);

/// One camera and its clock.
struct Bench {
    camera: SimulatedCamera,
    now: Duration,
}

impl Bench {
    fn new(config: &str) -> Self {
        let camera = SimulatedCamera::new(config.parse().expect(config), Duration::ZERO).expect(config);
        Self { camera, now: Duration::ZERO }
    }

    /// Advances the clock until the camera reaches this state.
    fn until(&mut self, is: impl Fn(Activity) -> bool) {
        while !is(self.camera.activity()) {
            let next = self.camera.poll_timeout();
            self.now = next.unwrap_or_else(|| panic!("{:?} without an end", self.camera.activity())).max(self.now);
            self.camera.handle_timeout(self.now);
        }
    }

    /// Runs one session, from the connection to the reset.
    fn session<T, F>(&mut self, task: impl FnOnce(Caller) -> F) -> (T, Vec<ConversationEvent>)
    where
        F: Future<Output = T> + 'static,
    {
        self.until(|doing| doing == Activity::Bootloader);
        assert!(self.camera.connected(self.now));
        let mut conversation = Conversation::new(self.now, ClientOptions { inactivity_timeout: 20 * S }, task);
        let (mut told, mut closed) = (Vec::new(), false);
        loop {
            let out = if closed { Vec::new() } else { conversation.output().to_vec() };
            conversation.consumed(out.len(), self.now);
            self.camera.input(&out, self.now);
            let back = self.camera.output().to_vec();
            self.camera.consumed(back.len(), self.now);
            conversation.handle_input(&back, self.now);
            told.extend(std::iter::from_fn(|| conversation.poll_event()));
            if !out.is_empty() || !back.is_empty() {
                continue;
            }
            if !closed && self.camera.is_leaving() {
                closed = true;
                self.camera.disconnected(self.now);
                conversation.handle_close(self.now);
                continue;
            }
            if let Some(result) = conversation.result() {
                self.camera.disconnected(self.now);
                return (result, told);
            }
            let next = [Some(conversation.timeout()), self.camera.poll_timeout()].into_iter().flatten().min();
            self.now = next.expect("the conversation has a limit").max(self.now);
            assert!(self.now < 2000 * S, "it never ends");
            self.camera.handle_timeout(self.now);
            conversation.handle_timeout(self.now);
        }
    }

    fn flash(&mut self, package: &Package, wish: Wish) -> Result<Flashed, FlashError> {
        let package = package.clone();
        let task = async move |caller: Caller| Plan::make(&caller, package, wish).await?.carry_out(&caller).await;
        self.session(task).0
    }

    /// The bytes at the application's address.
    fn stored(&mut self, memory: Memory, len: usize) -> Vec<u8> {
        let memory = self.camera.memory(memory).expect("there is such a memory");
        memory.read(map::APPLICATION.into(), len).expect("it is that large")
    }
}

/// A slow, long link behind a socket's send buffer: data in that buffer cannot be overtaken.
struct Line {
    buffer: VecDeque<u8>,
    pipe: Pipe,
}

impl Line {
    /// The size to which Linux lets a socket's buffer grow.
    const BUFFER: usize = 4 << 20;

    fn new(shape: LineShape) -> Self {
        Self { buffer: VecDeque::new(), pipe: Pipe::new(shape) }
    }

    /// Takes as much as there is room for.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(Self::BUFFER - self.buffer.len());
        self.buffer.extend(&bytes[..n]);
        n
    }

    fn carry(&mut self, now: Duration) -> Vec<u8> {
        let n = self.pipe.room().min(self.buffer.len());
        let bytes: Vec<u8> = self.buffer.drain(..n).collect();
        self.pipe.push(&bytes, now);
        std::iter::from_fn(|| self.pipe.pop(now)).flatten().collect()
    }
}

#[test]
fn a_slow_link_flashes_28_mib_and_feeds_the_watchdog() {
    let package = package_of(26_000_000, "far away");
    assert!(package.bytes().len() > 28_000_000);
    let mut bench = Bench::new("nor=64MiB&wait-again=5s&watchdog=30s");
    let shape = LineShape { bits_per_second: Some(10_000_000), delay: Duration::from_millis(200) };
    let (mut there, mut back) = (Line::new(shape), Line::new(shape));
    bench.until(|doing| doing == Activity::Bootloader);
    assert!(bench.camera.connected(bench.now));
    let wanted = package.clone();
    let task = async move |caller: Caller| Plan::make(&caller, wanted, AUTO).await?.carry_out(&caller).await;
    let mut conversation = Conversation::new(bench.now, ClientOptions { inactivity_timeout: 20 * S }, task);
    let result = loop {
        let now = bench.now;
        let sent = there.take(conversation.output());
        conversation.consumed(sent, now);
        let arrived = there.carry(now);
        bench.camera.input(&arrived, now);
        let answered = back.take(bench.camera.output());
        bench.camera.consumed(answered, now);
        let heard = back.carry(now);
        conversation.handle_input(&heard, now);
        while conversation.poll_event().is_some() {}
        if let Some(result) = conversation.result() {
            break result;
        }
        if sent + arrived.len() + answered + heard.len() > 0 {
            continue;
        }
        let times = [Some(conversation.timeout()), bench.camera.poll_timeout(), there.pipe.next(), back.pipe.next()];
        bench.now = times.into_iter().flatten().min().expect("there is a limit").max(now);
        bench.camera.handle_timeout(bench.now);
        conversation.handle_timeout(bench.now);
    };
    assert_eq!(result.map(|flashed| flashed.written), Ok(true));
    assert!(bench.stored(Memory::Flash, package.bytes().len()) == package.bytes());
    let account = bench.camera.history();
    // Twice the vendor's period, which is half of the camera's (bootloader.md 2.4).
    assert!(account.longest_silence < Duration::from_millis(1500), "{:?}", account.longest_silence);
    // Written and read back with little waiting: 23.5 s per direction at this rate.
    assert!(bench.now < 70 * S, "{:?}", bench.now);
}

const AUTO: Wish = Wish { memory: Memory::Auto, force: false };

/// 3 MiB that are not the vendor's.
fn package(name: &str) -> Package {
    package_of(900_000, name)
}

/// A package with this many bytes of assets.
fn package_of(assets: u64, name: &str) -> Package {
    let noise = |n: u64| n.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17).to_le_bytes()[3];
    let mut firmware = b"MA2x".to_vec();
    firmware.extend((0..1_500_000).map(noise));
    let bytes = PackageBuilder::new(firmware)
        .pipeline(vec![0xb9; 3000])
        .asset_storage((0..assets).map(noise).collect::<Vec<_>>())
        .firmware_version("c7127782f2da45aac89d5b5b816d04cc45ae40be")
        .app_name(name)
        .build()
        .expect("a package");
    Package::parse(bytes).expect("a whole package")
}

#[test]
fn a_written_application_is_verified_and_booted() {
    for (config, memory) in [("nor=32MiB", Memory::Flash), ("nor=32MiB&emmc=64MiB", Memory::Emmc)] {
        for wish in [AUTO, Wish { memory, force: false }] {
            let mut bench = Bench::new(config);
            let package = package("door");
            let flashed = bench.flash(&package, wish).expect("no error");
            assert_eq!(flashed, Flashed { written: true, memory, settings_written: true }, "{config} {wish:?}");
            assert!(bench.stored(memory, package.bytes().len()) == package.bytes());
            bench.until(|doing| doing == Activity::Application { silent: false });
            let restarts = bench.camera.history().restarts;
            assert_eq!(restarts, 1, "one reset, and no watchdog's");
        }
    }
}

#[test]
fn an_identical_application_is_not_written_again() {
    let mut bench = Bench::new("nor=32MiB&wait-again=5s");
    let package = package("door");
    bench.flash(&package, AUTO).expect("no error");
    let again = bench.flash(&package, AUTO).expect("no error");
    assert_eq!(again, Flashed { written: false, memory: Memory::Flash, settings_written: false });
    let forced = bench.flash(&package, Wish { force: true, ..AUTO }).expect("no error");
    assert!(forced.written);
    // The same table, but one different byte in the last section.
    let memory = bench.camera.memory(Memory::Flash).expect("there is one");
    let last = u64::from(map::APPLICATION) + package.bytes().len() as u64 - 1;
    memory.write(last, b"X").expect("it is that large");
    assert!(bench.flash(&package, AUTO).expect("no error").written);
    assert!(bench.stored(Memory::Flash, package.bytes().len()) == package.bytes());
}

/// Every fault, the reported error, and the state of the camera afterwards.
#[test]
fn each_fault_is_reported_and_a_retry_succeeds() {
    let package = package("door");
    for (fault, phase, text) in [
        ("refuse", Phase::Write, "UPDATE_FLASH: the camera refused"),
        ("refuse-late:0.7", Phase::Write, "UPDATE_FLASH: the camera refused"),
        ("drop:200", Phase::Ask, "the camera closed the connection"),
        ("drop:1500000", Phase::Write, "UPDATE_FLASH: the camera closed the connection after"),
        ("drop-progress:0.5", Phase::Write, "UPDATE_FLASH: the camera closed the connection after"),
        ("stall-progress:0.5", Phase::Write, "UPDATE_FLASH: the camera has been silent for 20 s"),
        ("freeze:1500000", Phase::Write, "for 6 s"),
        ("bad-response", Phase::Write, "UPDATE_FLASH: the camera answered"),
        ("short-response", Phase::Write, "UPDATE_FLASH: cannot parse the camera's response"),
        ("not-written", Phase::Verify, "although the camera said that it was written"),
        ("corrupt:2097152", Phase::Verify, "byte 2097152 of the package (byte "),
        ("config-refused", Phase::Settings, "SET_BOOTLOADER_CONFIG: the camera refused"),
        ("config-not-written", Phase::Settings, "not what was written although the camera said so"),
        ("bad-response:READ_FLASH", Phase::Ask, "READ_FLASH: the camera answered"),
        ("short-response:GET_MEMORY_DETAILS", Phase::Ask, "MEMORY_DETAILS has 536 bytes"),
    ] {
        let mut bench = Bench::new("nor=32MiB&wait-again=5s");
        bench.camera.set_faults(format!("{fault}*1").parse::<CameraFaults>().expect(fault));
        let error = bench.flash(&package, AUTO).expect_err(fault);
        let found = match &error {
            FlashError::Camera { phase, .. } | FlashError::Differs { phase, .. } => *phase,
            FlashError::Settings(_) => Phase::Settings,
            other => panic!("{fault}: {other}"),
        };
        assert!(error.to_string().contains(text), "{fault}: {error}");
        assert_eq!(found, phase, "{fault}: {error}");
        assert!(!error.help().is_empty());
        if phase == Phase::Ask {
            assert_eq!(bench.stored(Memory::Flash, 512), [0xff; 512], "{fault}: nothing was changed");
        }
        bench.camera.set_faults(CameraFaults::default());
        let flashed = bench.flash(&package, AUTO).unwrap_or_else(|error| panic!("again after {fault}: {error}"));
        assert_eq!(flashed.memory, Memory::Flash, "{fault}");
        assert!(bench.stored(Memory::Flash, package.bytes().len()) == package.bytes(), "{fault}");
        bench.until(|doing| matches!(doing, Activity::Application { .. }));
    }
}

#[test]
fn a_camera_without_flow_control_is_verified_or_given_up() {
    let mut bench = Bench::new("nor=32MiB&wait-again=5s");
    bench.camera.set_faults("no-credit".parse().expect("a fault"));
    let small = package("door");
    assert!(bench.flash(&small, AUTO).expect("3 MiB fit into the 5 MiB that may be outstanding").written);
    assert!(bench.stored(Memory::Flash, small.bytes().len()) == small.bytes());
    let large = package_of(6_000_000, "gate");
    let error = bench.flash(&large, AUTO).expect_err("7 MiB do not");
    assert!(error.to_string().contains("has not acknowledged a watchdog ping for 6 s"), "{error}");
    bench.camera.set_faults(CameraFaults::default());
    assert!(bench.flash(&large, AUTO).expect("no error after the retry").written);
    assert!(bench.stored(Memory::Flash, large.bytes().len()) == large.bytes());
}

#[test]
fn unsafe_writes_are_refused_before_they_begin() {
    let other = Package::parse(PackageBuilder::new(b"RVC4 firmware".to_vec()).build().expect("built")).expect("intact");
    let fits = package("door");
    for (config, package, wish, text) in [
        ("nor=10MiB", &fits, AUTO, "room for 2097152 (10485760 less the first 8388608 of the bootloader)"),
        ("nor=32MiB&type=usb", &fits, AUTO, "a bootloader of type usb"),
        ("nor=32MiB&bootloader=0.0.18", &fits, AUTO, "the camera's bootloader is 0.0.18; 0.0.19 or newer"),
        ("nor=32MiB&bootloader=0.0.13", &fits, AUTO, "the camera's bootloader is 0.0.13"),
        ("nor=32MiB", &fits, Wish { memory: Memory::Emmc, ..AUTO }, "the camera has no emmc memory; it has flash"),
        ("nor=32MiB", &other, AUTO, "the package's firmware begins with \"RVC4\""),
    ] {
        let mut bench = Bench::new(config);
        let error = bench.flash(package, wish).expect_err(config);
        assert!(error.is_refusal() && error.to_string().contains(text), "{config}: {error}");
        assert_eq!(error.help(), "nothing was changed in the camera");
        let account = bench.camera.history();
        let writes = |request: &&Request| matches!(request, Request::UpdateFlash { .. } | Request::WriteFlash { .. });
        assert_eq!(account.requests.iter().find(writes), None, "{config}");
    }
    // A bootloader that claims a newer version than its own does not answer requests that it does not know.
    let mut bench = Bench::new("nor=32MiB&bootloader=0.0.16&claims=0.0.28");
    let error = bench.flash(&fits, AUTO).expect_err("it cannot read");
    assert!(error.to_string().contains("GET_BOOTLOADER_COMMIT: the camera has been silent for 20 s"), "{error}");
    assert_eq!(error.help(), "nothing was changed in the camera");
}

#[test]
fn streams_and_answers_are_accepted_in_any_order_and_form() {
    let package = package("door");
    for config in ["open=first", "open=after", "open=never", "stale=on", "packet=1000"] {
        let mut bench = Bench::new(&format!("nor=32MiB&{config}"));
        bench.flash(&package, AUTO).unwrap_or_else(|error| panic!("{config}: {error}"));
    }
}

/// Like the vendor's client, except for the differences listed in the docs of `flash::job` (11_flash_dap.txt).
#[test]
fn a_flash_sends_the_vendors_requests() {
    let mut bench = Bench::new("nor=32MiB");
    let package = package("door");
    bench.flash(&package, AUTO).expect("no error");
    let total = package.bytes().len() as u32;
    let mut requests = bench.camera.history().requests;
    // Our additions: the slot and the memories are queried first, and everything is read back.
    requests.retain(|request| {
        !matches!(
            request,
            Request::IsUserBootloader | Request::MemoryDetails { memory: Memory::Flash } | Request::ReadFlash { .. }
        )
    });
    let get = Request::GetConfig { memory: Memory::Auto, offset: -1, max: 0 };
    assert_eq!(
        requests,
        [
            Request::Version,
            Request::Commit,
            Request::Type,
            Request::MemoryDetails { memory: Memory::Emmc },
            // The shortest request, to measure the round trip.
            Request::Version,
            Request::UpdateFlash { storage: Storage::Application, total, packets: 1 },
            get.clone(),
            Request::SetConfig { memory: Memory::Auto, offset: -1, clear: false, total: 17, packets: 1 },
            get,
        ]
    );
}

#[test]
fn an_application_is_read_and_erased() {
    let mut bench = Bench::new("nor=32MiB&wait-again=5s");
    let package = package("door");
    bench.flash(&package, AUTO).expect("no error");
    let read = async |caller: Caller| -> Result<(Option<Vec<u8>>, Option<ApplicationDetails>), FlashError> {
        let asked = |error| FlashError::Camera { phase: Phase::Ask, error };
        let target = Target::ask(&caller).await.map_err(asked)?;
        let bytes = read_applications(&caller).await?.pop().map(|(memory, bytes)| {
            assert_eq!(memory, Memory::Flash);
            bytes
        });
        Ok((bytes, application(&caller, &target, Memory::Flash).await.map_err(asked)?))
    };
    let (bytes, details) = bench.session(read).0.expect("no error");
    assert!(bytes.as_deref() == Some(package.bytes()));
    assert_eq!(details.and_then(|details| details.name).as_deref(), Some("door"));
    let wipe = async |caller: Caller| erase(&caller, Memory::Auto).await;
    assert_eq!(bench.session(wipe).0, Ok(true));
    let requests = bench.camera.history().requests;
    // 13_flash_clear.txt
    let clear = Request::WriteFlash { memory: Memory::Auto, offset: map::APPLICATION, total: 512, packets: 1 };
    assert!(requests.contains(&clear));
    assert_eq!(bench.session(read).0.expect("no error").0, None);
    let nowhere = async |caller: Caller| erase(&caller, Memory::Emmc).await;
    let error = bench.session(nowhere).0.expect_err("there is none");
    assert_eq!(error.to_string(), "the camera has no emmc memory; it has flash");
    // A camera that reports success without erasing.
    bench.flash(&package, AUTO).expect("no error");
    bench.camera.set_faults("not-written*1".parse().expect("a fault"));
    let error = bench.session(wipe).0.expect_err("it lies");
    assert!(error.to_string().contains("byte 0 of the package (in its table) is 0x42"), "{error}");
}

#[test]
fn settings_are_changed_key_by_key_and_verified() {
    let mut bench = Bench::new("nor=32MiB&wait-again=5s");
    let set = async |caller: Caller| {
        caller.identify().await?;
        let mut config = caller.settings().await?.unwrap_or_default();
        config.merge(&oaktap::bootloader::bson::BsonDocument::parse(UNKNOWN).expect("a document"));
        caller.store_settings(&config).await?;
        caller.settings().await
    };
    let stored = bench.session(set).0.expect("no error").expect("there are settings");
    bench.flash(&package("door"), AUTO).expect("no error");
    let read = async |caller: Caller| caller.settings().await;
    let after = bench.session(read).0.expect("no error").expect("there are settings");
    let changed: Vec<_> = stored.changes(&after).iter().map(|change| change.key.clone()).collect();
    assert_eq!(changed, ["appMem"], "unknown keys are kept");
    let clear = async |caller: Caller| {
        caller.clear_settings().await?;
        caller.settings().await
    };
    assert_eq!(bench.session(clear).0, Ok(None));
}

/// `{"network": {"new": 7}}`
const UNKNOWN: &[u8] = b"\x1c\0\0\0\x03network\0\x0e\0\0\0\x10new\0\x07\0\0\0\0\0";

#[test]
fn an_old_bootloader_receives_only_requests_it_supports() {
    let mut bench = Bench::new("nor=32MiB&bootloader=0.0.15");
    let ask = async |caller: Caller| Target::ask(&caller).await;
    let target = bench.session(ask).0.expect("no error");
    assert_eq!((target.bootloader.version, target.memories), (Version::new(0, 0, 15), None));
    let read = async |caller: Caller| {
        caller.identify().await?;
        caller.read(Request::ReadFlash { memory: Memory::Flash, offset: 0, total: 1 }).await
    };
    assert!(matches!(bench.session(read).0, Err(ClientError::TooOld { request: "READ_FLASH", .. })));
}

/// As large as a network bootloader, but not the vendor's.
fn image() -> Arc<BootloaderImage> {
    let mut bytes = b"MA2x".to_vec();
    bytes.resize(2 << 20, 0x5a);
    bytes.extend_from_slice(b"\0DHCP\x000.0.28\0");
    Arc::new(BootloaderImage::new(bytes).expect("it looks like one"))
}

/// One operation other than writing an application.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Erase,
    UserSlot,
    Settings,
    Clear,
    ReadOut,
}

async fn operate(caller: Caller, operation: Operation) -> Result<(), FlashError> {
    match operation {
        Operation::Erase => erase(&caller, Memory::Auto).await.map(|proved| assert!(proved)),
        Operation::UserSlot => write_user(&caller, &image()).await,
        Operation::Settings => {
            let mut settings = caller.settings().await?.unwrap_or_default();
            settings.merge(&oaktap::bootloader::bson::BsonDocument::parse(UNKNOWN).expect("a document"));
            Ok(caller.store_settings(&settings).await?)
        }
        Operation::Clear => Ok(caller.clear_settings().await?),
        Operation::ReadOut => {
            for (_, bytes) in read_applications(&caller).await? {
                Package::parse(bytes).expect("intact");
            }
            Ok(())
        }
    }
}

#[test]
fn every_other_operation_reports_its_failure_and_can_be_repeated() {
    use Operation::{Clear, Erase, ReadOut, Settings, UserSlot};
    for (operation, faults) in [
        (Erase, &["refuse", "not-written", "drop-progress:0.5", "bad-response", "short-response:READ_FLASH"][..]),
        (UserSlot, &["refuse", "refuse-late:0.5", "not-written", "corrupt:70000", "drop:900000", "stall-progress:0.5"]),
        (UserSlot, &["config-refused", "config-not-written", "bad-response", "short-response", "freeze:900000"]),
        (Settings, &["config-refused", "config-not-written", "bad-response:SET_BOOTLOADER_CONFIG", "drop:1000"]),
        (Clear, &["config-refused", "config-not-written"]),
        (ReadOut, &["bad-response:READ_FLASH", "short-response:READ_FLASH", "drop-output:100000"]),
    ] {
        for fault in faults {
            let mut bench = Bench::new("nor=32MiB&wait-again=5s");
            bench.flash(&package("door"), AUTO).expect("no error yet");
            bench.camera.set_faults(format!("{fault}*1").parse().expect(fault));
            let result = bench.session(move |caller| operate(caller, operation)).0;
            let error = result.expect_err(&format!("{operation:?} with {fault}"));
            assert!(!error.to_string().is_empty() && !error.help().is_empty());
            bench.camera.set_faults(CameraFaults::default());
            let again = bench.session(move |caller| operate(caller, operation)).0;
            again.unwrap_or_else(|error| panic!("{operation:?} again after {fault}: {error}"));
        }
    }
}

#[test]
fn the_factory_slot_is_written_again_before_the_reset() {
    for fault in ["refuse", "refuse-late:0.5", "not-written", "corrupt:70000"] {
        let mut bench = Bench::new("nor=32MiB&wait-again=5s&bootloader=0.0.26&image=0.0.28");
        let boot = async |caller: Caller| {
            caller.identify().await.map_err(|error| FlashError::Camera { phase: Phase::Ask, error })?;
            boot_from_memory(&caller, &image()).await
        };
        bench.session(boot).0.unwrap_or_else(|error| panic!("{fault}: {error}"));
        bench.camera.set_faults(format!("{fault}*1").parse().expect(fault));
        let write = async |caller: Caller| {
            let greeting = caller.identify().await.map_err(|error| FlashError::Camera { phase: Phase::Ask, error })?;
            assert_eq!(greeting.version, Version::new(0, 0, 28), "the new one, out of memory");
            write_factory(&caller, &image()).await
        };
        bench.session(write).0.unwrap_or_else(|error| panic!("{fault}: {error}"));
        let memory = bench.camera.memory(Memory::Flash).expect("there is one");
        assert!(
            memory.read(map::BOOTLOADER.into(), image().bytes().len()).expect("it is that large") == image().bytes()
        );
        bench.until(|doing| doing == Activity::Bootloader);
    }
}
