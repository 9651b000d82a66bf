//! Flashing of a simulated camera, connected in memory with a simulated clock: plans, faults and retries.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use oaktap::bootloader::config::Config;
use oaktap::bootloader::{
    ApplicationDetails, BUDGET_BYTES, Caller, ClientError, ClientOptions, Conversation, ConversationEvent, Memory,
    Request, Storage, Version, map,
};
use oaktap::flash::{
    BootloaderImage, FlashError, FlashOptions, FlashTarget, Flashed, Phase, Plan, Region, application_details,
    boot_from_memory, erase_applications, read_applications, write_factory_bootloader, write_user_bootloader,
};
use oaktap::package::{Package, PackageBuilder};
use oaktap::sim::bootloader::{Activity, CameraFaults, LineShape, Pipe, SimulatedCamera};

const S: Duration = Duration::from_secs(1);

/// A camera and its clock.
pub(crate) struct Bench {
    pub(crate) camera: SimulatedCamera,
    pub(crate) now: Duration,
}

impl Bench {
    pub(crate) fn new(config: &str) -> Self {
        let camera = SimulatedCamera::new(config.parse().expect(config), Duration::ZERO).expect(config);
        Self { camera, now: Duration::ZERO }
    }

    /// Advances the clock until the camera is in this state.
    pub(crate) fn until(&mut self, is: impl Fn(Activity) -> bool) {
        while !is(self.camera.activity()) {
            let next = self.camera.poll_timeout();
            self.now = next.unwrap_or_else(|| panic!("the camera stays in {:?}", self.camera.activity())).max(self.now);
            self.camera.handle_timeout(self.now);
        }
    }

    /// One session, from connecting to the reset.
    pub(crate) fn session<T, F>(&mut self, task: impl FnOnce(Caller) -> F) -> (T, Vec<ConversationEvent>)
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
            assert!(self.now < 2000 * S, "no result after 2000 s");
            self.camera.handle_timeout(self.now);
            conversation.handle_timeout(self.now);
        }
    }

    pub(crate) fn flash(&mut self, package: &Package, options: FlashOptions) -> Result<Flashed, FlashError> {
        let package = package.clone();
        let task = async move |caller: Caller| Plan::make(&caller, package, options).await?.carry_out(&caller).await;
        self.session(task).0
    }

    /// Reads `len` bytes of the application region.
    fn stored(&mut self, memory: Memory, len: usize) -> Vec<u8> {
        let memory = self.camera.memory(memory).expect("the memory exists");
        memory.read(map::APPLICATION.into(), len).expect("inside of the memory")
    }
}

/// One direction of a slow link with a long delay, after a socket buffer. Pings cannot overtake buffered data.
struct Line {
    buffer: VecDeque<u8>,
    pipe: Pipe,
}

impl Line {
    /// Linux lets a socket buffer grow to this.
    const BUFFER: usize = 4 << 20;

    fn new(shape: LineShape) -> Self {
        Self { buffer: VecDeque::new(), pipe: Pipe::new(shape) }
    }

    /// Buffers as many bytes as fit, and returns their number.
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
fn slow_link_with_long_delay_flashes_28_mib_and_serves_the_watchdog() {
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
    // Twice the vendor's ping period, which is half of the camera's timeout (bootloader.md 2.4).
    assert!(account.longest_silence < Duration::from_millis(1500), "{:?}", account.longest_silence);
    // 23.5 s for each direction at this rate, and little waiting in between.
    assert!(bench.now < 70 * S, "{:?}", bench.now);
}

pub(crate) const AUTO: FlashOptions = FlashOptions { memory: Memory::Auto, force: false };

/// A package of 3 MiB without vendor firmware.
pub(crate) fn package(name: &str) -> Package {
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
fn written_application_is_read_back_and_booted() {
    for (config, memory) in [("nor=32MiB", Memory::Flash), ("nor=32MiB&emmc=64MiB", Memory::Emmc)] {
        for options in [AUTO, FlashOptions { memory, force: false }] {
            let mut bench = Bench::new(config);
            let package = package("door");
            let flashed = bench.flash(&package, options).expect("no fault");
            assert_eq!(flashed, Flashed { written: true, memory, settings_written: true }, "{config} {options:?}");
            assert!(bench.stored(memory, package.bytes().len()) == package.bytes());
            bench.until(|doing| doing == Activity::Application { silent: false });
            let restarts = bench.camera.history().restarts;
            assert_eq!(restarts, 1, "one reset, and none by the watchdog");
        }
    }
}

#[test]
fn application_in_the_camera_is_not_written_again() {
    let mut bench = Bench::new("nor=32MiB&wait-again=5s");
    let package = package("door");
    bench.flash(&package, AUTO).expect("no fault");
    let again = bench.flash(&package, AUTO).expect("no fault");
    assert_eq!(again, Flashed { written: false, memory: Memory::Flash, settings_written: false });
    let forced = bench.flash(&package, FlashOptions { force: true, ..AUTO }).expect("no fault");
    assert!(forced.written);
    // The same table, but one byte of the last section differs.
    let memory = bench.camera.memory(Memory::Flash).expect("there is one");
    let last = u64::from(map::APPLICATION) + package.bytes().len() as u64 - 1;
    memory.write(last, b"X").expect("inside of the memory");
    assert!(bench.flash(&package, AUTO).expect("no fault").written);
    assert!(bench.stored(Memory::Flash, package.bytes().len()) == package.bytes());
}

/// For every fault: the phase and text of the error, and that the same command succeeds afterwards.
#[test]
fn every_fault_is_reported_with_its_phase_and_a_retry_succeeds() {
    let package = package("door");
    let (write, read_back) = (Phase::Write(Region::Application), Phase::ReadBack(Region::Application));
    for (fault, phase, text) in [
        ("refuse", write, "UPDATE_FLASH: the camera refused"),
        ("refuse-late:0.7", write, "UPDATE_FLASH: the camera refused"),
        ("drop:200", Phase::Ask, "the camera closed the connection"),
        ("drop:1500000", write, "UPDATE_FLASH: the camera closed the connection after"),
        ("drop-progress:0.5", write, "UPDATE_FLASH: the camera closed the connection after"),
        ("stall-progress:0.5", write, "UPDATE_FLASH: the camera has made no progress for 20 s"),
        ("freeze:1500000", write, "for 6 s"),
        ("bad-response", write, "UPDATE_FLASH: the camera answered"),
        ("short-response", write, "UPDATE_FLASH: cannot parse the camera's response"),
        ("not-written", read_back, "although the camera reported success"),
        ("corrupt:2097152", read_back, "byte 2097152 of the package (byte "),
        ("config-refused", Phase::Configure, "SET_BOOTLOADER_CONFIG: the camera refused"),
        ("config-not-written", Phase::Configure, "differs from the one written, although the camera reported success"),
        ("bad-response:READ_FLASH", Phase::Ask, "READ_FLASH: the camera answered"),
        ("short-response:GET_MEMORY_DETAILS", Phase::Ask, "MEMORY_DETAILS too short: expected 536 bytes"),
    ] {
        let mut bench = Bench::new("nor=32MiB&wait-again=5s");
        bench.camera.set_faults(format!("{fault}*1").parse::<CameraFaults>().expect(fault));
        let error = bench.flash(&package, AUTO).expect_err(fault);
        assert!(error.to_string().contains(text), "{fault}: {error}");
        assert_eq!(error.phase(), phase, "{fault}: {error}");
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

/// The request for the camera's configuration.
const GET_CONFIG: Request = Request::GetConfig { memory: Memory::Auto, offset: -1, max: 0 };

/// The requests of one printed step. `config` is the camera's configuration before it. Only the text of the step decides
/// what is expected; the camera's memories, after the flash, decide where a comparison ends.
fn requests_of(step: &str, bench: &mut Bench, package: &Package, config: &Config) -> Vec<Request> {
    let words: Vec<&str> = step.split(' ').collect();
    let memory = |name: &str| name.parse::<Memory>().expect(step);
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).expect(step),
        None => text.parse().expect(step),
    };
    let set = |memory: Memory| {
        let mut config = config.clone();
        config.set_application_memory(memory);
        let total = config.to_bytes().expect("a configuration").len() as u32;
        vec![Request::SetConfig { memory: Memory::Auto, offset: -1, clear: false, total, packets: 1 }, GET_CONFIG]
    };
    match words[..] {
        ["write", total, "bytes", "at", offset, "of", "the", name, "memory", command] => {
            let (total, offset) = (number(total), number(offset));
            let packets = total.div_ceil(BUDGET_BYTES);
            assert_eq!((total as usize, offset), (package.bytes().len(), map::APPLICATION), "{step}");
            match command {
                "(UPDATE_FLASH)" => {
                    vec![Request::UpdateFlash { storage: Storage::Application, total, packets }]
                }
                "(UPDATE_FLASH_EX_2)" => vec![Request::WriteFlash { memory: memory(name), offset, total, packets }],
                other => panic!("{other}"),
            }
        }
        ["read", total, "bytes", "back", "at", offset, "of", "the", first, ref rest @ ..] => {
            let end = ["and", "compare", "every", "byte"];
            let names = match *rest {
                ["memory", ref rest @ ..] if *rest == end => vec![first],
                ["memory,", "or", "else", "of", "the", other, "memory,", ref rest @ ..] if *rest == end => {
                    vec![first, other]
                }
                _ => panic!("{step}"),
            };
            assert_eq!(number(total) as usize, package.bytes().len(), "{step}");
            let mut requests = Vec::new();
            for memory in names.into_iter().map(memory) {
                let stored = bench.stored(memory, package.bytes().len());
                let blocks = stored.chunks(1 << 20).zip(package.bytes().chunks(1 << 20));
                for ((found, expected), block) in blocks.zip(0..) {
                    let offset = number(offset) + (block << 20);
                    requests.push(Request::ReadFlash { memory, offset, total: expected.len() as u32 });
                    if found != expected {
                        break;
                    }
                }
                if stored == package.bytes() {
                    return requests;
                }
            }
            panic!("no memory holds the package: {step}")
        }
        ["set", "`appMem`", "to", name, "in", "the", "configuration"] => set(memory(name)),
        ["set", "`appMem`", "in", "the", "configuration", "to", "the", "memory", "that", "holds", ref rest @ ..] => {
            assert_eq!(rest.join(" "), "the application, unless it is set already");
            let holds = |memory: &Memory| bench.stored(*memory, package.bytes().len()) == package.bytes();
            let memory = [Memory::Emmc, Memory::Flash].into_iter().find(holds).expect("one memory holds it");
            if config.application_memory() == Ok(Some(memory)) { Vec::new() } else { set(memory) }
        }
        // Every session ends with it, which `restarts` counts.
        ["reset", "the", "camera"] => Vec::new(),
        _ => panic!("unknown step: {step}"),
    }
}

/// The numbered lines of a plan, without their numbers.
fn printed_steps(plan: &str) -> Vec<&str> {
    let steps =
        plan.lines().filter_map(|line| line.split_once(". ").filter(|(number, _)| number.parse::<u32>().is_ok()));
    let (numbers, steps): (Vec<_>, Vec<_>) = steps.unzip();
    let expected: Vec<_> = (1..=numbers.len()).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected, "{plan}");
    steps
}

/// One camera with something in it, what the user asks for, and the first words of the steps that follow from it.
struct PlanCase {
    name: &'static str,
    camera: &'static str,
    /// Brings the camera into its state before the dry run.
    prepare: fn(&mut Bench, &Package),
    options: FlashOptions,
    fault: &'static str,
    steps: &'static [&'static str],
}

#[test]
fn printed_steps_are_the_requests_that_the_camera_receives() {
    const NOR: &str = "nor=32MiB&wait-again=5s";
    const EMMC: &str = "nor=32MiB&emmc=64MiB&wait-again=5s";
    const FLASH: FlashOptions = FlashOptions { memory: Memory::Flash, force: false };
    const EMMC_ONLY: FlashOptions = FlashOptions { memory: Memory::Emmc, force: false };
    const FORCE: FlashOptions = FlashOptions { force: true, ..AUTO };
    const ALL: &[&str] = &["write", "read", "set", "reset"];
    fn nothing(_: &mut Bench, _: &Package) {}
    fn flashed(bench: &mut Bench, package: &Package) {
        bench.flash(package, AUTO).expect("no fault");
    }
    fn flashed_to_flash(bench: &mut Bench, package: &Package) {
        bench.flash(package, FLASH).expect("no fault");
    }
    fn booting_from_emmc(bench: &mut Bench, package: &Package) {
        bench.flash(package, AUTO).expect("no fault");
        let task = async |caller: Caller| {
            caller.identify().await?;
            let mut config = caller.settings().await?.unwrap_or_default();
            config.set_application_memory(Memory::Emmc);
            caller.store_settings(&config).await
        };
        bench.session(task).0.expect("no fault");
    }
    fn with_another_last_byte(bench: &mut Bench, package: &Package) {
        bench.flash(package, AUTO).expect("no fault");
        let last = u64::from(map::APPLICATION) + package.bytes().len() as u64 - 1;
        bench.camera.memory(Memory::Flash).expect("a flash memory").write(last, b"X").expect("inside of it");
    }
    let case = |name, camera, prepare: fn(&mut Bench, &Package), options, fault, steps| PlanCase {
        name,
        camera,
        prepare,
        options,
        fault,
        steps,
    };
    for case in [
        case("flash memory, chosen by the camera", NOR, nothing, AUTO, "", ALL),
        case("flash memory", NOR, nothing, FLASH, "", ALL),
        case("eMMC, chosen by the camera", EMMC, nothing, AUTO, "", ALL),
        case("eMMC", EMMC, nothing, EMMC_ONLY, "", ALL),
        case("flash memory beside an eMMC", EMMC, nothing, FLASH, "", ALL),
        case("the camera has it already", NOR, flashed, AUTO, "", &["reset"]),
        case("the eMMC has it already", EMMC, flashed, AUTO, "", &["reset"]),
        case("the camera has it already, forced", NOR, flashed, FORCE, "", &["write", "read", "reset"]),
        case("another memory has it", EMMC, flashed_to_flash, EMMC_ONLY, "", ALL),
        case("the boot memory is another one", NOR, booting_from_emmc, AUTO, "", &["set", "reset"]),
        case("one byte differs", NOR, with_another_last_byte, AUTO, "", &["write", "read", "reset"]),
        // The eMMC does not get it, as if the camera had chosen the other memory, which has it.
        case("the camera chose the other memory", EMMC, flashed_to_flash, AUTO, "not-written*1", ALL),
    ] {
        let (name, mut bench, package) = (case.name, Bench::new(case.camera), package("door"));
        (case.prepare)(&mut bench, &package);
        let (wanted, options) = (package.clone(), case.options);
        let read = async |caller: Caller| {
            caller.identify().await?;
            caller.settings().await
        };
        let config = bench.session(read).0.expect("no fault").unwrap_or_default();
        let received = |bench: &mut Bench| {
            bench.until(|doing| doing == Activity::Bootloader);
            let account = bench.camera.history();
            (account.requests, account.restarts)
        };

        let (before, _) = received(&mut bench);
        let dry_run =
            async move |caller: Caller| Plan::make(&caller, wanted, options).await.map(|plan| plan.to_string());
        let plan = bench.session(dry_run).0.expect("no fault");
        let (after, restarts) = received(&mut bench);
        let queries = &after[before.len()..];
        for query in queries {
            assert!(!is_write(query), "{name}: a dry run sent {query:?}");
        }

        if !case.fault.is_empty() {
            bench.camera.set_faults(case.fault.parse().expect("a fault"));
        }
        bench.flash(&package, options).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (all, restarts_after) = received(&mut bench);
        let sent = all[after.len()..].strip_prefix(queries).unwrap_or_else(|| panic!("{name}: other queries: {all:?}"));

        let steps = printed_steps(&plan);
        let words: Vec<_> = steps.iter().map(|step| step.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(words, case.steps, "{name}: {plan}");
        let expected: Vec<_> = steps.iter().flat_map(|step| requests_of(step, &mut bench, &package, &config)).collect();
        assert_eq!(sent, expected, "{name}: {plan}");
        assert_eq!(restarts_after - restarts, 1, "{name}: one reset was printed");
        assert_eq!(steps.last(), Some(&"reset the camera"), "{name}");
    }
}

fn is_write(request: &Request) -> bool {
    matches!(request, Request::UpdateFlash { .. } | Request::WriteFlash { .. } | Request::SetConfig { .. })
}

#[test]
fn camera_without_credit_gets_what_fits_its_window_or_times_out() {
    let mut bench = Bench::new("nor=32MiB&wait-again=5s");
    bench.camera.set_faults("no-credit".parse().expect("a fault"));
    let small = package("door");
    assert!(bench.flash(&small, AUTO).expect("3 MiB fit into the 5 MiB that may be outstanding").written);
    assert!(bench.stored(Memory::Flash, small.bytes().len()) == small.bytes());
    let large = package_of(6_000_000, "gate");
    let error = bench.flash(&large, AUTO).expect_err("7 MiB do not");
    assert!(error.to_string().contains("has not acknowledged a watchdog ping for 6 s"), "{error}");
    bench.camera.set_faults(CameraFaults::default());
    assert!(bench.flash(&large, AUTO).expect("no fault any more").written);
    assert!(bench.stored(Memory::Flash, large.bytes().len()) == large.bytes());
}

#[test]
fn unsafe_flashes_are_refused_without_a_write() {
    let other = Package::parse(PackageBuilder::new(b"RVC4 firmware".to_vec()).build().expect("built")).expect("whole");
    let fits = package("door");
    for (config, package, options, text) in [
        ("nor=10MiB", &fits, AUTO, "room for 2097152 (10485760 less the first 8388608 of the bootloader)"),
        ("nor=32MiB&type=usb", &fits, AUTO, "a bootloader of type usb"),
        ("nor=32MiB&bootloader=0.0.18", &fits, AUTO, "the camera's bootloader is 0.0.18; expected 0.0.19 or newer"),
        ("nor=32MiB&bootloader=0.0.13", &fits, AUTO, "the camera's bootloader is 0.0.13"),
        (
            "nor=32MiB",
            &fits,
            FlashOptions { memory: Memory::Emmc, ..AUTO },
            "the camera has no emmc memory; it has flash",
        ),
        ("nor=32MiB", &other, AUTO, "the package's firmware begins with \"RVC4\""),
    ] {
        let mut bench = Bench::new(config);
        let error = bench.flash(package, options).expect_err(config);
        assert!(error.is_refusal() && error.to_string().contains(text), "{config}: {error}");
        assert_eq!(error.help(), "nothing was changed in the camera");
        let account = bench.camera.history();
        assert_eq!(account.requests.iter().find(|request| is_write(request)), None, "{config}");
    }
    // A bootloader that claims to be newer than it is does not answer requests that it does not support.
    let mut bench = Bench::new("nor=32MiB&bootloader=0.0.16&claims=0.0.28");
    let error = bench.flash(&fits, AUTO).expect_err("it cannot read");
    assert!(error.to_string().contains("GET_BOOTLOADER_COMMIT: the camera has made no progress for 20 s"), "{error}");
    assert_eq!(error.help(), "nothing was changed in the camera");
}

#[test]
fn streams_open_in_any_order_and_answers_have_any_form() {
    let package = package("door");
    for config in ["open=first", "open=after", "open=never", "stale=on", "packet=1000"] {
        let mut bench = Bench::new(&format!("nor=32MiB&{config}"));
        bench.flash(&package, AUTO).unwrap_or_else(|error| panic!("{config}: {error}"));
    }
}

/// The vendor's requests (11_flash_dap.txt), with the differences that the module `flash::carry_out` lists.
#[test]
fn requests_of_a_flash_are_those_of_the_vendors_client() {
    let mut bench = Bench::new("nor=32MiB");
    let package = package("door");
    bench.flash(&package, AUTO).expect("no fault");
    let total = package.bytes().len() as u32;
    let mut requests = bench.camera.history().requests;
    // Requests that the vendor's client does not send.
    requests.retain(|request| {
        !matches!(
            request,
            Request::IsUserBootloader | Request::MemoryDetails { memory: Memory::Flash } | Request::ReadFlash { .. }
        )
    });
    assert_eq!(
        requests,
        [
            Request::Version,
            Request::Commit,
            Request::Type,
            Request::MemoryDetails { memory: Memory::Emmc },
            // The shortest request, to measure the round trip.
            Request::Version,
            GET_CONFIG,
            Request::UpdateFlash { storage: Storage::Application, total, packets: 1 },
            Request::SetConfig { memory: Memory::Auto, offset: -1, clear: false, total: 17, packets: 1 },
            GET_CONFIG,
        ]
    );
}

#[test]
fn an_application_is_erased_and_read_out() {
    let mut bench = Bench::new("nor=32MiB&wait-again=5s");
    let package = package("door");
    bench.flash(&package, AUTO).expect("no fault");
    let read = async |caller: Caller| -> Result<(Option<Vec<u8>>, Option<ApplicationDetails>), FlashError> {
        let asked = |error| FlashError::Camera { phase: Phase::Ask, error };
        let target = FlashTarget::ask(&caller).await.map_err(asked)?;
        let bytes = read_applications(&caller).await?.pop().map(|(memory, bytes)| {
            assert_eq!(memory, Memory::Flash);
            bytes
        });
        Ok((bytes, application_details(&caller, &target, Memory::Flash).await.map_err(asked)?))
    };
    let (bytes, details) = bench.session(read).0.expect("no fault");
    assert!(bytes.as_deref() == Some(package.bytes()));
    assert_eq!(details.and_then(|details| details.name).as_deref(), Some("door"));
    let wipe = async |caller: Caller| erase_applications(&caller, Memory::Auto).await;
    assert_eq!(bench.session(wipe).0, Ok(true));
    let requests = bench.camera.history().requests;
    // 13_flash_clear.txt
    let clear = Request::WriteFlash { memory: Memory::Auto, offset: map::APPLICATION, total: 512, packets: 1 };
    assert!(requests.contains(&clear));
    assert_eq!(bench.session(read).0.expect("no fault").0, None);
    let nowhere = async |caller: Caller| erase_applications(&caller, Memory::Emmc).await;
    let error = bench.session(nowhere).0.expect_err("there is none");
    assert_eq!(error.to_string(), "the camera has no emmc memory; it has flash");
    // The camera reports success and erases nothing.
    bench.flash(&package, AUTO).expect("no fault");
    bench.camera.set_faults("not-written*1".parse().expect("a fault"));
    let error = bench.session(wipe).0.expect_err("the table is still there");
    assert!(error.to_string().contains("byte 0 of the package (in its table) is 0x42"), "{error}");
}

#[test]
fn settings_are_changed_by_key_and_read_back() {
    let mut bench = Bench::new("nor=32MiB&wait-again=5s");
    let set = async |caller: Caller| {
        caller.identify().await?;
        let mut config = caller.settings().await?.unwrap_or_default();
        config.merge(&oaktap::bootloader::bson::BsonDocument::parse(UNKNOWN).expect("a document"));
        caller.store_settings(&config).await?;
        caller.settings().await
    };
    let stored = bench.session(set).0.expect("no fault").expect("there are settings");
    bench.flash(&package("door"), AUTO).expect("no fault");
    let read = async |caller: Caller| caller.settings().await;
    let after = bench.session(read).0.expect("no fault").expect("there are settings");
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
fn old_bootloader_gets_only_requests_that_it_supports() {
    let mut bench = Bench::new("nor=32MiB&bootloader=0.0.15");
    let ask = async |caller: Caller| FlashTarget::ask(&caller).await;
    let target = bench.session(ask).0.expect("no fault");
    assert_eq!((target.bootloader.version, target.memories), (Version::new(0, 0, 15), None));
    let read = async |caller: Caller| {
        caller.identify().await?;
        caller.read(Request::ReadFlash { memory: Memory::Flash, offset: 0, total: 1 }).await
    };
    assert!(matches!(bench.session(read).0, Err(ClientError::TooOld { request: "READ_FLASH", .. })));
}

/// An image that passes as a bootloader for PoE cameras, without vendor code.
pub(crate) fn image() -> Arc<BootloaderImage> {
    let mut bytes = b"MA2x".to_vec();
    bytes.resize(2 << 20, 0x5a);
    bytes.extend_from_slice(b"\0DHCP\x000.0.28\0");
    Arc::new(BootloaderImage::new(bytes).expect("it passes the checks"))
}

/// An operation other than flashing an application.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Erase,
    UserSlot,
    Settings,
    Clear,
    ReadOut,
}

async fn operate(caller: Caller, operation: Operation) -> Result<(), FlashError> {
    let configuring = |error| FlashError::Configuration { phase: Phase::Configure, error };
    match operation {
        Operation::Erase => erase_applications(&caller, Memory::Auto).await.map(|proved| assert!(proved)),
        Operation::UserSlot => write_user_bootloader(&caller, &image()).await,
        Operation::Settings => {
            let mut settings = caller.settings().await.map_err(configuring)?.unwrap_or_default();
            settings.merge(&oaktap::bootloader::bson::BsonDocument::parse(UNKNOWN).expect("a document"));
            caller.store_settings(&settings).await.map_err(configuring)
        }
        Operation::Clear => caller.clear_settings().await.map_err(configuring),
        Operation::ReadOut => {
            for (_, bytes) in read_applications(&caller).await? {
                Package::parse(bytes).expect("a whole package");
            }
            Ok(())
        }
    }
}

#[test]
fn every_other_operation_reports_faults_and_can_be_repeated() {
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
            bench.flash(&package("door"), AUTO).expect("no fault yet");
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
fn factory_slot_is_written_again_within_the_session() {
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
            assert_eq!(greeting.version, Version::new(0, 0, 28), "the new one, booted from RAM");
            write_factory_bootloader(&caller, &image()).await
        };
        bench.session(write).0.unwrap_or_else(|error| panic!("{fault}: {error}"));
        let memory = bench.camera.memory(Memory::Flash).expect("there is one");
        assert!(
            memory.read(map::BOOTLOADER.into(), image().bytes().len()).expect("inside of the memory")
                == image().bytes()
        );
        bench.until(|doing| doing == Activity::Bootloader);
    }
}
