//! The vendor's own client, depthai 2.30, finds, queries, flashes and configures the simulated camera, and fails as it
//! does with a real one. It uses fixed ports only, so each simulated camera has its own address.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use oaktap::bootloader::{Memory, Request, Storage};
use oaktap::package::PackageBuilder;
use oaktap::sim::bootloader::{Activity, CameraConfig, CameraSimulator};
use serde_json::{Value, json};

use crate::external_tools;

/// Longer than any operation takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// Offset at which applications are stored (bootloader.md 3.4).
const APPLICATION: u64 = 0x80_0000;

/// A camera and a folder for files.
struct Bench {
    camera: CameraSimulator,
    folder: tempfile::TempDir,
}

impl Bench {
    /// Returns `None` where the vendor's client is not installed, or where there is only one loopback address.
    fn of(text: &str) -> Option<Self> {
        external_tools::vendor()?;
        if !cfg!(target_os = "linux") {
            println!("skipped: only one loopback address on this system");
            return None;
        }
        let mut config: CameraConfig = text.parse().expect(text);
        // The client finds the camera again by its id at any address, so the id must be unique here.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        config.id = format!("1944301041{:08X}{:04X}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let camera = CameraSimulator::start_nearby(&config).expect("a camera");
        Some(Self { camera, folder: tempfile::tempdir().expect("a folder") })
    }

    /// The properties that the client read.
    fn ask(&self, case: &str, arguments: &[&str]) -> Value {
        let ip = self.camera.ip().to_string();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/vendor.py");
        let mut command = external_tools::vendor().expect("it was there");
        let said = external_tools::output(command.arg(script).args([case, ip.as_str()]).args(arguments));
        let last = said.lines().last().expect("a line");
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).expect("it is written");
        path.to_str().expect("UTF-8").to_owned()
    }

    fn read(&self, memory: Memory, offset: u64, len: usize) -> Vec<u8> {
        self.camera.with(|camera| camera.memory(memory).expect("it is there").read(offset, len).expect("inside"))
    }

    fn wait(&self, doing: Activity) {
        let there = self.camera.wait_until(LIMIT, |camera| camera.activity() == doing);
        assert!(there, "{:?} instead of {doing:?}", self.camera.activity());
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut word = 3u32;
    let step = |_| {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (word >> 24) as u8
    };
    (0..len).map(step).collect()
}

/// A package with this many bytes of noise as firmware.
fn package(len: usize) -> Vec<u8> {
    let firmware = [b"MA2x", &noise(len)[..]].concat();
    let commit = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
    PackageBuilder::new(firmware).firmware_version(commit).app_name("test bench").build().expect("a package")
}

/// A bootloader image: noise with a valid start.
fn image(len: usize) -> Vec<u8> {
    [b"MA2x", &noise(len - 4)[..]].concat()
}

const RUNS: Activity = Activity::Application { silent: false };

#[test]
fn finds_the_camera_by_broadcast_and_by_address() {
    for answer in ["simple", "extended", "both"] {
        let Some(bench) = Bench::of(&format!("broadcast=on&answer={answer}")) else { return };
        let id = bench.camera.with(|camera| camera.config().id.clone());
        let found = bench.ask("discover", &[&id]);
        let ip = bench.camera.ip().to_string();
        // Several answers from the same camera at the same address count as one.
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
        assert_eq!((&found[0]["name"], &found[0]["state"]), (&json!(ip), &json!("X_LINK_BOOTLOADER")));
    }
}

#[test]
fn reads_all_properties_of_the_camera() {
    for text in ["", "&open=first&stale=on", "&open=never", "&emmc=4GiB&stale=on"] {
        let Some(bench) = Bench::of(&format!("commit=c0ffee{text}")) else { return };
        let said = bench.ask("info", &[]);
        assert_eq!(said["version"], "0.0.28+c0ffee", "{text}");
        assert_eq!((&said["flashed"], &said["embedded"]), (&json!("0.0.28"), &json!(false)));
        assert_eq!((&said["type"], &said["user"]), (&json!("NETWORK"), &json!(false)));
        let flash = json!({ "available": true, "size": 128 << 20, "info": "JEDEC ID: 01 02 20" });
        assert_eq!(said["memories"]["FLASH"], flash);
        assert_eq!(said["memories"]["EMMC"]["available"], json!(text.contains("emmc")));
        assert_eq!(said["has_application"], json!(false));
        assert_eq!(bench.ask("by_description", &[])["version"], "0.0.28");
    }
}

#[test]
fn flashes_an_application_that_then_runs() {
    // Its Python binding drops the argument that names the memory, so it cannot write to another one.
    for (text, place) in [("size=64x48&fps=5", Memory::Flash), ("size=64x48&fps=5&emmc=64MiB", Memory::Emmc)] {
        let Some(bench) = Bench::of(text) else { return };
        let package = package(6 << 20);
        let said = bench.ask("flash", &[&bench.file("app.dap", &package)]);
        assert_eq!(said["said"], json!([true, ""]), "{text}");
        let progress: Vec<f64> = serde_json::from_value(said["progress"].clone()).expect("numbers");
        assert!(progress.len() > 5 && progress.is_sorted() && progress.last() == Some(&1.0), "{progress:?}");
        // It always asks for the flash, whichever memory is requested (bootloader.md 3.3).
        assert_eq!(said["name"], if place == Memory::Flash { "test bench" } else { "" }, "{text}");
        assert_eq!(bench.read(place, APPLICATION, package.len()), package);
        bench.wait(RUNS);
        let requests = bench.camera.history().requests;
        let total = package.len() as u32;
        let request = Request::UpdateFlash { storage: Storage::Application, total, packets: 2 };
        assert!(requests.contains(&request), "{requests:?}");
        assert_eq!(
            bench.ask("running", &[])["version"],
            "0.0.28",
            "the client stops the running application to connect"
        );
    }
}

#[test]
fn clears_an_application() {
    let Some(bench) = Bench::of("state=application&size=64x48&fps=5") else { return };
    bench.ask("running", &[]);
    let said = bench.ask("clear", &[]);
    assert_eq!(said, json!({ "said": [true, ""], "has_application": false }));
    assert_eq!(bench.read(Memory::Flash, APPLICATION, 512), [0xFF; 512]);
    bench.wait(Activity::Bootloader);
}

#[test]
fn replaces_the_bootloader() {
    let Some(bench) = Bench::of("bootloader=0.0.20&image=0.0.28") else { return };
    let image = image((5 << 20) + 5);
    let said = bench.ask("bootloader", &[&bench.file("bootloader", &image)]);
    let expected = json!({ "said": [true, ""], "embedded": true, "before": "0.0.20", "after": "0.0.28", "last": 1.0 });
    assert_eq!(said, expected);
    assert_eq!(bench.read(Memory::Flash, 512, image.len()), image);
}

#[test]
fn writes_the_users_bootloader() {
    let Some(bench) = Bench::of("bootloader=0.0.21&image=0.0.28") else { return };
    let image = image(1 << 20);
    let said = bench.ask("user_bootloader", &[&bench.file("bootloader", &image)]);
    assert_eq!((&said["said"], &said["user"]), (&json!([true, ""]), &json!(true)), "{said}");
    assert_eq!(said["config"]["userBlSize"], json!(1 << 20));
    assert_eq!(bench.read(Memory::Flash, 0x40_0000, image.len()), image);
}

#[test]
fn resets_to_the_factory_state() {
    let Some(bench) = Bench::of("state=application&size=64x48&fps=5") else { return };
    bench.ask("running", &[]);
    let path = bench.folder.path().join("factory");
    let said = bench.ask("factory_reset", &[path.to_str().expect("UTF-8")]);
    let none = json!({ "error": "No config available" });
    let expected = json!({ "said": [true, ""], "has_application": false, "config": none, "last": 1.0 });
    assert_eq!(said, expected);
    let image = fs::read(path).expect("the image");
    assert_eq!(image.len(), 8_389_120);
    assert_eq!(bench.read(Memory::Flash, 512, image.len()), image);
}

#[test]
fn writes_reads_and_clears_the_configuration() {
    let Some(bench) = Bench::of("") else { return };
    // The last octet is above 127, which takes a longer encoding in the document (bootloader.md 4).
    let [a, b, c, d] = bench.camera.ip().octets();
    let address = Ipv4Addr::new(a, b, c ^ 0x80, d | 0x80).to_string();
    let said = bench.ask("config", &[&address]);
    let none = json!({ "error": "No config available" });
    let expected = json!({
        "none": none,
        "said": [true, ""],
        "read": [address, "255.0.0.0", "127.0.0.1", true],
        "mac": "44:A9:2C:01:02:03",
        "timeout": 15.0,
        "same": true,
        "data": [[true, ""], true],
        "typed": address,
        "moved": address,
        "cleared": [true, ""],
        "after": none,
        "back": "0.0.28",
    });
    assert_eq!(said, expected);
}

#[test]
fn writes_and_reads_any_address() {
    let Some(bench) = Bench::of("") else { return };
    let data = noise(6_291_579);
    let said = bench.ask("custom", &[&bench.file("data", &data)]);
    let expected = json!({
        "said": [true, ""],
        "last": 1.0,
        "read": [true, "", true],
        "outside": [false, "Read out of bounds"],
        "none": [false, "No eMMC memory available"],
    });
    assert_eq!(said, expected);
    assert_eq!(bench.read(Memory::Flash, 0x100_0000, data.len()), data);
    assert_eq!(bench.ask("headers", &[]), json!({ "normal": [true, ""], "gpio": [true, ""] }));
}

#[test]
fn rejects_requests_that_an_old_bootloader_does_not_support() {
    let Some(bench) = Bench::of("bootloader=0.0.15") else { return };
    let said = bench.ask("old", &[]);
    assert_eq!((&said["version"], &said["user"]), (&json!("0.0.15"), &json!(false)));
    let why = "Bootloader version 0.0.19 required to send request 'GetMemoryDetails'. Current version 0.0.15";
    assert_eq!(said["memory"]["error"], why, "{said}");
    for of in ["application", "header"] {
        assert!(said[of]["error"].as_str().is_some_and(|error| error.contains("0.0.19")), "{said}");
    }
}

#[test]
fn fails_as_with_a_real_camera() {
    let package = package(6 << 20);
    let refused = json!([false, "Couldn't flash update, try again"]);
    for (fault, expected) in [
        ("refuse", refused.clone()),
        ("refuse-late:0.5", refused),
        ("bad-response", json!([false, "Unknown response from bootloader while flashing"])),
        ("short-response", json!([false, "Unknown response from bootloader while flashing"])),
    ] {
        let Some(bench) = Bench::of(&format!("fault={fault}*1")) else { return };
        let path = bench.file("app.dap", &package);
        assert_eq!(bench.ask("failing_flash", &[&path])["said"], expected, "{fault}");
        // Half a package is not an application, whatever was reported about the whole one.
        let there = bench.read(Memory::Flash, APPLICATION, package.len()) == package;
        assert_eq!(there, fault.contains("response"), "{fault}");
        assert_eq!(bench.ask("flash", &[&path])["said"], json!([true, ""]), "{fault}: a retry");
        bench.wait(RUNS);
    }
    for fault in ["drop:3000000", "drop-progress:0.5"] {
        let Some(bench) = Bench::of(&format!("fault={fault}*1")) else { return };
        let path = bench.file("app.dap", &package);
        let said = bench.ask("failing_flash", &[&path]);
        let error = said["error"].as_str().unwrap_or_else(|| panic!("{fault}: {said}"));
        assert!(error.contains("'__bootloader' (X_LINK_ERROR)"), "{fault}: {error}");
        assert_eq!(bench.ask("flash", &[&path])["said"], json!([true, ""]), "{fault}: a retry");
        bench.wait(RUNS);
    }
    let damaged = [&package[..600], &[package[600] ^ 1], &package[601..]].concat();
    let Some(bench) = Bench::of("") else { return };
    let said = bench.ask("flash", &[&bench.file("app.dap", &damaged)]);
    assert_eq!(said["said"], json!([false, "Sbr section index: 0 checksum mismatch"]));
    let Some(bench) = Bench::of("nor=12MiB") else { return };
    let said = bench.ask("flash", &[&bench.file("app.dap", &package)]);
    assert_eq!(said["said"][0], json!(false));
    assert!(said["said"][1].as_str().is_some_and(|why| why.starts_with("Not enough space: ")), "{said}");
}

#[test]
fn is_refused_by_a_busy_camera_and_by_unknown_answers() {
    let Some(bench) = Bench::of("state=in-use") else { return };
    let said = bench.ask("in_use", &[]);
    assert_eq!(said["error"], "Device not in UNBOOTED, BOOTLOADER or FLASH_BOOTED state", "{said}");
    let Some(bench) = Bench::of("fault=bad-response:GET_MEMORY_DETAILS*1") else { return };
    let said = bench.ask("query", &[]);
    assert!(said["error"].as_str().is_some_and(|error| error.contains("Couldn't parse")), "{said}");
    assert_eq!(bench.ask("query", &[]), json!(128 << 20));
    let Some(bench) = Bench::of("claims=0.0.29") else { return };
    assert_eq!(bench.ask("running", &[])["version"], "0.0.29", "the client accepts any version");
}
