//! `oaktap flash` and related commands with a simulated camera on real sockets: success, verification, refusals,
//! backups.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use oaktap::bootloader::{Memory, Request, map};
#[cfg(target_os = "linux")]
use oaktap::device::{
    app::{App, Size},
    firmware::simulated_firmware,
    pipeline, script,
};
use oaktap::package::PackageBuilder;
use oaktap::sim::bootloader::{Activity, CameraConfig, CameraSimulator, Place};
use oaktap::units::Bytes;
use serde_json::Value;

use crate::program::{oaktap, run};

pub(crate) const AGES: Duration = Duration::from_secs(60);
pub(crate) const ID: &str = "14442C10D13EABCE00";

/// A simulated camera and a folder. It waits long for a host, so that a busy machine does not matter.
pub(crate) struct Scene {
    pub(crate) camera: CameraSimulator,
    pub(crate) folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new(config: &str) -> Self {
        let config = format!("nor=32MiB&size=64x48&restart=10ms&wait=3600s&wait-again=2s&{config}");
        let config: CameraConfig = config.parse().expect("a camera");
        let camera = CameraSimulator::start(config, &[Place::free_ports(Ipv4Addr::LOCALHOST)]).expect("free ports");
        Self { camera, folder: tempfile::tempdir().expect("a folder") }
    }

    /// Starts a command on this camera, and types the camera's id, for which some commands ask.
    pub(crate) fn start(&self, command: &str, more: &[&str]) -> Child {
        let args = self.at(command, more);
        let mut child = oaktap(&args.iter().map(String::as_str).collect::<Vec<_>>())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        writeln!(child.stdin.take().expect("a pipe"), "{ID}").expect("it reads");
        child
    }

    /// The arguments that select this camera.
    pub(crate) fn at(&self, command: &str, more: &[&str]) -> Vec<String> {
        let place = self.camera.places()[0];
        let camera = format!("{}:{}", place.ip, place.link);
        let (udp, stream) = (place.discovery.to_string(), place.stream.to_string());
        let mut args = vec![command.to_owned(), camera, "--udp-port".to_owned(), udp];
        if matches!(command, "flash" | "reset" | "boot") {
            args.extend(["--stream-port".to_owned(), stream]);
        }
        args.extend(more.iter().map(|&word| word.to_owned()));
        args
    }

    pub(crate) fn run(&self, command: &str, more: &[&str]) -> (i32, String, String) {
        let args = self.at(command, more);
        run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(crate) fn json(&self, command: &str, more: &[&str]) -> Value {
        let (code, out, said) = self.run(command, &[more, &["--json"]].concat());
        assert_eq!(code, 0, "{command} {more:?}: {said}");
        serde_json::from_str::<Value>(&out).expect("one line of JSON")["summary"].take()
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("the folder can be written to");
        path.to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn package(&self, name: &str) -> String {
        let bytes = PackageBuilder::new(b"MA2x, and no firmware of anybody".to_vec())
            .asset_storage((0..100_000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>())
            .firmware_version("c7127782f2da45aac89d5b5b816d04cc45ae40be")
            .app_name(name)
            .build();
        self.file(&format!("{name}.dap"), &bytes.expect("a package"))
    }

    pub(crate) fn stored(&self, offset: u32, len: usize) -> Vec<u8> {
        self.camera.with(|camera| {
            camera.memory(Memory::Flash).expect("there is one").read(offset.into(), len).expect("it is that large")
        })
    }
}

/// Returns the only file of a folder.
fn only(folder: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("readable").path());
    let file = files.next().expect("one file");
    assert_eq!(files.next(), None);
    file
}

#[test]
fn an_application_is_flashed_verified_and_not_flashed_twice() {
    let scene = Scene::new("");
    let app = scene.package("door");
    let receipts = scene.folder.path().join("receipts");
    let receipts_text = receipts.to_str().expect("UTF-8");
    let receipt = scene.json("flash", &["--app", &app, "--yes", "--receipts", receipts_text]);
    assert_eq!(
        (&receipt["camera"], &receipt["written"], &receipt["read_back"]),
        (&ID.into(), &true.into(), &true.into())
    );
    assert_eq!(receipt["running"]["first_frame"]["dialect"], "IMG");
    assert_eq!(receipt["package"]["app_name"], "door");
    let kept: Value = serde_json::from_slice(&std::fs::read(only(&receipts)).expect("a receipt")).expect("JSON");
    assert_eq!((&kept["package"], &kept["running"]), (&receipt["package"], &receipt["running"]));
    assert!(scene.stored(map::APPLICATION, 2) == b"BR");
    assert_eq!(scene.camera.activity(), Activity::Application { silent: false });

    // Without a terminal the program cannot ask whether it may stop the application.
    let (code, _, said) = scene.run("flash", &["--app", &app]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("standard input is not a terminal, so confirm with --yes"), "{said}");
    assert_eq!(scene.camera.history().sessions, 1);

    let (code, out, said) = scene.run("flash", &["--app", &app, "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("the camera has this application already; nothing was written (--force writes it anyway)"),
        "{said}"
    );
    assert!(out.contains("verified, already present, running"), "{out}");

    let dry_run = |app: &str| {
        let (code, out, said) = scene.run("flash", &["--app", app, "--yes", "--dry-run", "--memory", "flash"]);
        assert_eq!(code, 0, "{said}");
        out
    };
    let out = dry_run(&app);
    let steps = "the flash memory holds every byte of the package already\n1. reset the camera\n";
    assert!(out.ends_with(steps), "{out}");
    let other = scene.package("gate");
    let bytes = std::fs::metadata(&other).expect("a package").len();
    let out = dry_run(&other);
    let steps = format!(
        "1. write {bytes} bytes at 0x800000 of the flash memory (UPDATE_FLASH_EX_2)\n\
         2. read {bytes} bytes back at 0x800000 of the flash memory and compare every byte\n\
         3. reset the camera\n"
    );
    assert!(out.ends_with(&steps), "{out}");
}

#[test]
fn a_refusal_has_its_own_exit_code() {
    let scene = Scene::new("nor=9MiB");
    let app = scene.package("door");
    let (code, _, said) = scene.run("flash", &["--app", &app, "--yes"]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("room for 1048576") && said.contains("nothing was changed in the camera"), "{said}");
    let torn = std::fs::read(&app).expect("a package");
    let torn = scene.file("torn.dap", &torn[..torn.len() - 1]);
    let (code, _, said) = scene.run("flash", &["--app", &torn]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("nothing was sent to the camera"), "{said}");

    let scene = Scene::new("state=in-use");
    let (code, _, said) = scene.run("info", &["--yes"]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains(&format!("camera {ID} at 127.0.0.1 is in use by a host")), "{said}");
}

#[test]
fn receipts_that_cannot_be_written_are_found_before_flashing() {
    let scene = Scene::new("");
    let app = scene.package("door");
    let file = scene.file("receipts", b"not a folder");
    for folder in [file.clone(), format!("{file}/inside")] {
        let (code, _, said) = scene.run("flash", &["--app", &app, "--yes", "--receipts", &folder]);
        assert_eq!((code, scene.camera.history().sessions), (1, 0), "{said}");
        assert!(said.contains(&format!("cannot write receipts to {folder}")), "{said}");
        assert!(said.contains("help: no camera was changed"), "{said}");
    }
    // A check leaves nothing behind.
    let folder = scene.folder.path().join("new");
    let text = folder.to_str().expect("UTF-8");
    scene.json("flash", &["--app", &app, "--yes", "--no-wait", "--receipts", text]);
    assert!(only(&folder).extension().is_some_and(|extension| extension == "json"));
}

#[test]
fn a_failed_flash_leaves_a_receipt_of_where_it_stopped() {
    let scene = Scene::new("");
    let app = scene.package("door");
    for (number, (fault, failed_while, has)) in [
        ("drop-progress:0.5*1", "writing the application", "the camera may be without an application now"),
        ("corrupt:600000*1", "reading the application back", "the damaged application was erased"),
        ("config-refused*1", "writing the configuration", "all steps before this one succeeded"),
        ("silent", "waiting for the application", "the application in the flash memory, read back and verified"),
    ]
    .into_iter()
    .enumerate()
    {
        scene.camera.set_faults(fault.parse().expect(fault));
        let folder = scene.folder.path().join(number.to_string());
        let path = folder.to_str().expect("UTF-8");
        let more = ["--app", &app, "--yes", "--force", "--json", "--receipts", path, "--boot-timeout", "2s"];
        let (code, out, said) = scene.run("flash", &more);
        assert_ne!(code, 0, "{said}");
        let kept: Value = serde_json::from_slice(&std::fs::read(only(&folder)).expect("a receipt")).expect("JSON");
        let shown = serde_json::from_str::<Value>(&out).expect("one line of JSON")["summary"].take();
        for receipt in [&kept, &shown] {
            assert_eq!((&receipt["camera"], &receipt["failed_while"]), (&ID.into(), &failed_while.into()), "{said}");
            assert!(receipt["camera_has"].as_str().is_some_and(|text| text.starts_with(has)), "{receipt}");
            assert_eq!(receipt["package"]["app_name"], "door");
            assert!(receipt["error"].is_string() && receipt["address"].is_string(), "{receipt}");
        }
        assert_eq!(kept["read_back"], fault == "silent", "{kept}");
        let (code, _, said) = scene.run("erase", &["--yes"]);
        assert_eq!(code, 0, "{said}");
    }
}

#[test]
fn each_of_several_cameras_has_a_receipt_and_the_total_names_the_failed_ones() {
    let scene = Scene::new("");
    let app = scene.package("door");
    let gone = Ipv4Addr::new(127, 211, 3, 4);
    let receipts = scene.folder.path().join("receipts");
    let path = receipts.to_str().expect("UTF-8");
    let gone = format!("gone={gone}");
    let more = [&gone, "--app", &app, "--yes", "--no-wait", "--json", "--receipts", path];
    let (code, out, said) = scene.run("flash", &more);
    assert_eq!(code, 1, "{said}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let total = &lines.last().expect("lines")["total"];
    assert_eq!((&total["cameras"], &total["done"]), (&2.into(), &1.into()), "{out}");
    assert_eq!(
        (&total["failed"], &total["not_tried"]),
        (&serde_json::json!(["gone"]), &serde_json::json!([])),
        "{out}"
    );
    assert_eq!(lines.len(), 3, "{out}");
    let failed = lines.iter().find(|line| line["summary"]["camera"] == "gone").expect("a line of the failed camera");
    assert_eq!(failed["summary"]["camera_has"], "nothing was sent to the camera", "{out}");
    assert_eq!(std::fs::read_dir(&receipts).expect("a folder").count(), 2);
}

/// A package of another tool, whose Script node has this program of less than 128 bytes.
fn scripted(program: &str) -> Vec<u8> {
    let len = u8::try_from(program.len()).ok().filter(|len| *len < 128).expect("a short program");
    let script = [&[0xb9, 3, 0xbd, 14][..], b"asset:__script", &[0xbd, 0, 0]].concat();
    let node = [&[0xb9, 4, 7, 0xbd, 6][..], b"Script", &[0xbc, script.len() as u8], &script, &[0xbb, 0]].concat();
    let assets = [&[0xb9, 1, 0xbb, 1, 0xbd, 16][..], b"/node/7/__script", &[0xb9, 3, 0, len, 64]].concat();
    PackageBuilder::new(b"MA2x, and no firmware of anybody".to_vec())
        .pipeline([&[0xb9, 3, 0xba, 0, 0xbe, 0xbb, 1, 7][..], &node].concat())
        .assets(assets)
        .asset_storage(program.as_bytes())
        .app_name("theirs")
        .build()
        .expect("a package")
}

#[test]
fn a_script_is_checked_before_it_is_flashed() {
    let scene = Scene::new("");
    let python = std::process::Command::new("python3").arg("--version").output().is_ok();
    for (program, error) in [("x = (\n", "line 1: "), ("match x:\n  case 1: pass\n", "line ")] {
        let app = scene.file("theirs.dap", &scripted(program));
        let (code, _, said) = scene.run("flash", &["--app", &app, "--yes", "--no-wait", "--dry-run"]);
        if python {
            assert_eq!((code, scene.camera.history().sessions), (4, 0), "{said}");
            assert!(said.contains(&format!("the program of Script 7 is not valid Python 3.9: {error}")), "{said}");
        } else {
            assert!(said.contains("was not checked for syntax errors: `python3` is not installed"), "{said}");
        }
    }
    // A program whose asset is cut short.
    let mut cut = scripted("x = 1\n");
    let at = cut.windows(5).position(|bytes| bytes == [0xb9, 3, 0, 6, 64]).expect("the place of the asset");
    cut[at + 3] = 7;
    let section = (2..512).step_by(30).find(|at| cut[*at..].starts_with(b"assets\0")).expect("a section");
    let sum = oaktap::package::djb2(&cut[(1 << 20) + (1 << 16)..][..assets_len(&cut, section)]);
    cut[section + 24..section + 28].copy_from_slice(&sum.to_le_bytes());
    let app = scene.file("cut.dap", &cut);
    let (code, _, said) = scene.run("flash", &["--app", &app, "--yes"]);
    assert_eq!((code, scene.camera.history().sessions), (4, 0), "{said}");
    assert!(said.contains("the program of Script 7 is not in the package"), "{said}");
    let (code, out, _) = run(&["inspect", &app]);
    assert!(code == 3 && out.contains("DAMAGED: a camera would store it, but could not run it"), "{out}");
}

/// Reads the size of a section from its entry in the table.
fn assets_len(package: &[u8], entry: usize) -> usize {
    u32::from_le_bytes(package[entry + 16..entry + 20].try_into().expect("4 bytes")) as usize
}

/// The simulated camera streams on a port that only the Script of the package names.
#[test]
fn the_port_of_a_script_is_waited_for() {
    let scene = Scene::new("");
    let port = scene.camera.places()[0].stream;
    let app = scene.file("theirs.dap", &scripted(&format!("s = socket.socket()\ns.bind(('', {port}))\n")));
    let place = scene.camera.places()[0];
    let (camera, udp) = (format!("{}:{}", place.ip, place.link), place.discovery.to_string());
    let (code, out, said) = run(&["flash", &camera, "--udp-port", &udp, "--app", &app, "--yes", "--json"]);
    assert_eq!(code, 0, "{said}");
    let receipt = serde_json::from_str::<Value>(&out).expect("JSON")["summary"].take();
    assert_eq!(receipt["running"]["first_frame"]["address"], format!("{}:{port}", place.ip), "{receipt}");

    let app = scene.file("computed.dap", &scripted("s.bind(('', 5000 + n))\n"));
    let (_, _, said) = scene.run("flash", &["--app", &app, "--yes", "--boot-timeout", "60s"]);
    assert!(!said.contains("is not a single number"), "--stream-port says it: {said}");
    let place = scene.camera.places()[0];
    let (camera, udp) = (format!("{}:{}", place.ip, place.link), place.discovery.to_string());
    let (_, _, said) = run(&["flash", &camera, "--udp-port", &udp, "--app", &app, "--yes", "--boot-timeout", "1s"]);
    assert!(
        said.contains("the port on which the Script listens is not a single number; waiting on port 5000"),
        "{said}"
    );
}

#[test]
fn a_failure_reports_its_phase_and_a_retry_succeeds() {
    let scene = Scene::new("");
    let app = scene.package("door");
    for (fault, text, help) in [
        (
            "config-refused*1",
            "writing the configuration: SET_BOOTLOADER_CONFIG: the camera refused",
            "run the command again for this camera",
        ),
        (
            "corrupt:600000*1",
            "reading the application back: byte 600000 of the package",
            "the damaged application was erased, so the camera has none now",
        ),
        (
            "drop-progress:0.5*1",
            "writing the application: UPDATE_FLASH: the camera closed the connection after",
            "run the command again for this camera",
        ),
    ] {
        scene.camera.set_faults(fault.parse().expect(fault));
        let (code, _, said) = scene.run("flash", &["--app", &app, "--yes"]);
        assert_eq!(code, if fault.contains("refused") { 4 } else { 1 }, "{fault}: {said}");
        assert!(said.contains(text) && said.contains(help), "{fault}: {said}");
        let (code, _, said) = scene.run("flash", &["--app", &app, "--yes"]);
        assert_eq!(code, 0, "again after {fault}: {said}");
        let (code, _, said) = scene.run("erase", &["--yes"]);
        assert_eq!(code, 0, "{said}");
    }
    // Damaged later: info names the section. The byte before is between sections.
    let (code, _, said) = scene.run("flash", &["--app", &app, "--yes"]);
    assert_eq!(code, 0, "{said}");
    scene.camera.with(|camera| {
        let at = u64::from(map::APPLICATION) + 1_130_000;
        let memory = camera.memory(Memory::Flash).expect("there is one");
        let damaged: Vec<_> = memory.read(at, 16).expect("inside").iter().map(|byte| byte ^ 1).collect();
        memory.write(at, &damaged).expect("inside");
    });
    let (code, out, said) = scene.run("info", &["--yes"]);
    assert!(
        code == 0 && out.contains("\n             section 3 `asset_storage`") && out.contains("flash it again"),
        "{out}{said}"
    );
    // The application is written and verified, but sends nothing after the boot.
    scene.camera.set_faults("silent".parse().expect("a fault"));
    let (code, _, said) = scene.run("flash", &["--app", &app, "--yes", "--boot-timeout", "10s"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the application was written and verified, but its start was not observed"), "{said}");
    assert!(said.contains("but no complete frame"), "{said}");
}

#[test]
fn info_and_backup_read_the_whole_camera() {
    let scene = Scene::new("emmc=64MiB");
    let app = scene.package("gate");
    scene.json("flash", &["--app", &app, "--yes", "--memory", "flash", "--no-wait"]);
    let info = scene.json("info", &["--yes"]);
    assert_eq!((&info["bootloader"]["version"], &info["bootloader"]["type"]), (&"0.0.28".into(), &"network".into()));
    assert_eq!(info["memories"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&info["applications"][0]["name"], &info["applications"][1]["present"]),
        (&"gate".into(), &false.into())
    );
    assert_eq!(info["applications"][0]["damage"], serde_json::json!([]));
    assert_eq!(info["settings"]["appMem"], 0);
    let (code, out, said) = scene.run("info", &["--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(out.contains("memory       flash: 32 MiB JEDEC ID") && out.contains("application  emmc: none"), "{out}");

    let folder = scene.folder.path().join("backup");
    let folder_text = folder.to_str().expect("UTF-8");
    let backup = scene.json("backup", &["--yes", "-o", folder_text]);
    let saved = backup["applications"][0].as_str().expect("a file").to_owned();
    assert!(std::fs::read(&saved).expect("it is there") == std::fs::read(&app).expect("it is there"));
    let settings = std::fs::read(backup["settings"].as_str().expect("a file")).expect("it is there");
    assert_eq!(serde_json::from_slice::<Value>(&settings).expect("JSON")["appMem"], 0);
    // Existing files are not replaced, and that is found before the application stops.
    let sessions = scene.camera.history().sessions;
    for name in ["flash.dap", "config.json"] {
        let (code, _, said) = scene.run("backup", &["--yes", "-o", folder_text]);
        assert_eq!((code, scene.camera.history().sessions), (1, sessions), "{said}");
        let file = folder.join(format!("{ID}.{name}"));
        let expected = format!(
            "error: {} already exists\nhelp: oaktap does not replace files: give another folder with -o",
            file.display()
        );
        assert!(said.contains(&expected) && !said.contains("entity"), "{said}");
        if name == "flash.dap" {
            std::fs::remove_file(&file).expect("it was written");
        }
    }
    let saved = scene.folder.path().join("again");
    let saved = scene.json("backup", &["--yes", "-o", saved.to_str().expect("UTF-8")])["applications"][0].take();
    let saved = saved.as_str().expect("a file");
    scene.json("erase", &["--yes"]);
    let restored = scene.json("flash", &["--app", saved, "--yes", "--memory", "flash"]);
    assert_eq!(restored["written"], true);
}

/// One camera has nothing, and the other one an application.
#[cfg(target_os = "linux")]
#[test]
fn a_backup_of_nothing_is_not_a_success() {
    let ids = ["14442C10D13EABCE01", "14442C10D13EABCE02", "14442C10D13EABCE03"];
    let (_cameras, places) = several(&ids, 103, "");
    let addresses: Vec<_> = places.iter().map(|place| place.ip.to_string()).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let scene = Scene::new("");
    let app = scene.package("door");
    let backup = |cameras: &[String], more: &[&str]| {
        let cameras: Vec<_> = cameras.iter().map(String::as_str).collect();
        run(&[&["backup"], &cameras[..], &["-o", path], more].concat())
    };
    let nothing =
        |id: &str| format!("{id}: nothing to save: the camera has neither an application nor network settings\n");
    for more in [&[][..], &["-q"]] {
        let (code, out, said) = backup(&addresses[..1], more);
        assert_eq!((code, out.as_str()), (1, ""), "{said}");
        assert!(
            said.contains(&nothing(ids[0]))
                && said.contains("error: nothing was saved\nhelp: a camera without an application"),
            "{said}"
        );
        let (code, _, said) = backup(&addresses[..2], more);
        assert!(code == 1 && said.contains(&nothing(ids[1])), "{code}: {said}");
        assert_eq!(said.matches("  nothing to save\n").count(), if more.is_empty() { 2 } else { 0 }, "{said}");
    }
    let (code, out, said) = backup(&addresses[..1], &["--json"]);
    let line: Value = serde_json::from_str(&out).expect("one line of JSON");
    let why = "nothing to save: the camera has neither an application nor network settings";
    assert_eq!(
        (code, &line["summary"]["error"], &line["summary"]["settings"]),
        (1, &why.into(), &Value::Null),
        "{said}"
    );
    assert_eq!(std::fs::read_dir(path).expect("a folder").count(), 0);

    let (code, _, said) = run(&["flash", &addresses[2], "--app", &app, "--yes", "--no-wait"]);
    assert_eq!(code, 0, "{said}");
    let (code, out, said) = backup(&addresses, &["--yes", "--json"]);
    assert!(code == 3 && said.contains("2 of 3 cameras had nothing to save\n"), "{code}: {said}");
    let total: Value = serde_json::from_str(out.lines().last().expect("a total")).expect("JSON");
    let expected = serde_json::json!([addresses[0], addresses[1]]);
    assert_eq!(
        (&total["total"]["done"], &total["total"]["nothing_to_save"], &total["total"]["failed"]),
        (&1.into(), &expected, &serde_json::json!([])),
        "{out}"
    );
    assert!(folder.path().join(format!("{}.flash.dap", ids[2])).exists());
}

/// The size of the files is known from the tables of the applications. Reading them takes minutes.
#[cfg(target_os = "linux")]
#[test]
fn a_backup_that_does_not_fit_on_the_disk_fails_before_it_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let mount =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "oaktap-test", path]).output();
    match mount {
        Ok(output) if output.status.success() => {}
        output => return eprintln!("SKIPPED: mounting needs root: {output:?}"),
    }
    let scene = Scene::new("");
    let app = scene.package("door");
    scene.json("flash", &["--app", &app, "--yes"]);
    let (code, _, said) = scene.run("backup", &["--yes", "-o", path]);
    let files = std::fs::read_dir(path).expect("a folder").count();
    let unmounted = std::process::Command::new("umount").arg(path).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    let size = format!("cannot write backups of {}", Bytes(std::fs::metadata(&app).expect("a package").len()));
    assert!(code == 1 && said.contains(&size) && said.contains("nothing was read or changed"), "{code}: {said}");
    assert!(!said.contains("reading the application from") && said.contains("runs its application again"), "{said}");
    assert_eq!(files, 0);
}

#[test]
fn an_unreachable_network_configuration_is_rejected() {
    let scene = Scene::new("");
    let (code, _, said) = scene.run("network", &["--yes", "static", "198.51.100.77/24", "198.51.100.1"]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("no interface of this host is in 198.51.100.0/24"), "{said}");
    assert!(said.contains("nothing was written; --force writes the settings anyway"), "{said}");
    let (code, _, said) = scene.run("network", &["--yes", "static", "198.51.100.77", "198.51.100.1"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("has no /PREFIX"), "{said}");
    assert_eq!(scene.camera.history().sessions, 0, "no session with the camera");

    let set = scene.json(
        "network",
        &[
            "--yes",
            "--force",
            "--no-wait",
            "static",
            "198.51.100.77/24",
            "198.51.100.1",
            "--dns",
            "198.51.100.2",
            "--mac",
            "02:11:22:33:44:55",
        ],
    );
    assert_eq!(
        (&set["network"]["address"], &set["network"]["mac"]),
        (&"198.51.100.77".into(), &"02:11:22:33:44:55".into())
    );
    let changed: Vec<_> = set["changed"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(changed.iter().any(|line| line.contains("staticIpv4")), "{changed:?}");
}

#[test]
fn settings_are_shown_changed_and_cleared() {
    let scene = Scene::new("");
    let shown = scene.json("network", &["--yes", "show"]);
    assert_eq!(shown["settings"], Value::Null);
    let set = scene.json("network", &["--yes", "--force", "dhcp", "--host-wait", "20s"]);
    assert_eq!((&set["settings"]["network"]["timeoutMs"], &set["address"]), (&20_000.into(), &"127.0.0.1".into()));
    let (code, out, said) = scene.run("network", &["--yes", "show"]);
    assert_eq!(code, 0, "{said}");
    assert!(out.contains("DHCP"), "{out}");
    assert_eq!(set["settings"]["usb"]["vid"], 0x03e7, "all that the vendor's client writes");
    let cleared = scene.json("network", &["clear", "--yes", "--force"]);
    assert_eq!((&cleared["settings"]["network"], &cleared["address"]), (&Value::Null, &"127.0.0.1".into()));
    assert_eq!(cleared["settings"]["appMem"], -1, "the rest is kept");
}

#[test]
fn a_camera_without_settings_has_nothing_to_clear() {
    let is_write = |request: &Request| matches!(request, Request::SetConfig { .. });
    for state in ["bootloader", "application"] {
        let scene = Scene::new(&format!("state={state}"));
        let writes = || scene.camera.history().requests.iter().filter(|request| is_write(request)).count();
        let (code, out, said) = scene.run("network", &["clear", "--yes", "--force"]);
        assert!(code == 0 && out.contains("  no settings: nothing to clear\n"), "{code}: {out}{said}");
        assert!(!out.contains("changed"), "{out}");
        let cleared = scene.json("network", &["clear", "--yes", "--force"]);
        assert_eq!((&cleared["settings"], &cleared["changed"]), (&Value::Null, &serde_json::json!([])));
        assert_eq!(writes(), 0);
        scene.json("network", &["dhcp", "--yes", "--force", "--host-wait", "1s"]);
        scene.json("network", &["clear", "--yes", "--force"]);
        assert_eq!(writes(), 2);
        // Its settings have no network part any more.
        let (code, out, said) = scene.run("network", &["clear", "--yes", "--force"]);
        assert!(code == 0 && out.contains("  no network settings: nothing to clear\n"), "{code}: {out}{said}");
        assert_eq!(writes(), 2);
        let runs = matches!(scene.camera.activity(), Activity::Application { .. });
        assert_eq!(runs, state == "application");
    }
}

/// The command ends when the camera can be used again.
#[test]
fn the_application_runs_again_after_a_change_of_the_settings() {
    let scene = Scene::new("");
    let door = scene.package("door");
    scene.json("flash", &["--app", &door, "--yes"]);
    let set = scene.json("network", &["--yes", "--force", "dhcp", "--host-wait", "1s"]);
    assert_eq!((&set["address"], &set["state"]), (&"127.0.0.1".into(), &"flash-booted".into()));
    assert_eq!(scene.camera.activity(), Activity::Application { silent: false });
    let (code, out, said) = scene.run("network", &["--yes", "--force", "clear"]);
    assert!(code == 0 && out.contains("answers  at 127.0.0.1, and runs its application\n"), "{out}{said}");
    assert_eq!(scene.camera.activity(), Activity::Application { silent: false });

    let image = scene.file("eth.cmd", &image("0.0.28"));
    let done = scene.json("bootloader", &["--yes", "update", "--image", &image]);
    assert_eq!(done["written"], "user", "{done}");
    assert_eq!(scene.camera.activity(), Activity::Application { silent: false });

    let set = scene.json("network", &["--yes", "--force", "--no-wait", "dhcp"]);
    assert_eq!((&set["address"], &set["state"]), (&Value::Null, &Value::Null));
}

#[test]
fn reset_and_boot_start_the_application() {
    let scene = Scene::new("");
    let app = scene.package("door");
    scene.json("flash", &["--app", &app, "--yes"]);
    let reset = scene.json("reset", &["--yes"]);
    assert_eq!(reset["running"]["first_frame"]["dialect"], "IMG");
    let boots = scene.camera.history().boots;
    let booted = scene.json("boot", &["--yes"]);
    assert_eq!(
        (&booted["running"], scene.camera.history().boots),
        (&Value::Null, boots),
        "the application runs already"
    );
    let (code, _, said) = scene.run("info", &["--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with(&format!("{ID}: runs its application again\n")), "{said}");
    assert!(matches!(scene.camera.activity(), Activity::Application { .. }));
    let booted = scene.json("boot", &["--yes"]);
    assert!(booted["camera"] == ID, "{booted}");
}

/// As large as a bootloader, but not the vendor's.
pub(crate) fn image(version: &str) -> Vec<u8> {
    let mut bytes = b"MA2x".to_vec();
    bytes.resize(2 << 20, 0x5a);
    bytes.extend_from_slice(format!("\0DHCP\01.2.11\0{version}\0").as_bytes());
    bytes
}

#[test]
fn a_bootloader_goes_to_the_user_slot_and_the_factory_slot_needs_confirmation() {
    let scene = Scene::new("bootloader=0.0.26&image=0.0.28");
    let file = scene.file("eth.cmd", &image("0.0.28"));
    let shown = scene.json("bootloader", &["--yes", "show"]);
    assert_eq!((&shown["version"], &shown["user_slot"]), (&"0.0.26".into(), &Value::Null));
    let updated = scene.json("bootloader", &["--yes", "update", "--image", &file]);
    assert_eq!(
        (&updated["written"], &updated["after"]["version"], &updated["after"]["user"]),
        (&"user".into(), &"0.0.28".into(), &true.into())
    );
    assert!(scene.stored(map::USER_BOOTLOADER, 2 << 20) == image("0.0.28")[..2 << 20]);

    // `--yes` does not answer the second question.
    let (code, _, said) = scene.run("bootloader", &["--yes", "factory-reset", "--image", &file]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("and flashed over USB") && said.contains("nothing was written"), "{said}");
    let child = scene.start("bootloader", &["--yes", "factory-reset", "--image", &file, "--json"]);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let done = serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["summary"].take();
    assert_eq!((&done["written"], &done["after"]["user"]), (&"factory-reset".into(), &false.into()), "{said}");
    assert!(scene.stored(map::BOOTLOADER, 2 << 20) == image("0.0.28")[..2 << 20]);
    assert!(scene.stored(map::CONFIG, 4096).iter().all(|byte| *byte == 0xff), "the settings are gone");

    // A bootloader for USB would take the camera off the network.
    for (bytes, text) in [
        (b"MA2x".repeat(1000), "expected at least 2097152: the bootloader for USB is that small"),
        (b"RVC4, and more".to_vec(), "the image begins with \"RVC4\", expected \"MA2x\""),
    ] {
        let file = scene.file("wrong.cmd", &bytes);
        let (code, _, said) = scene.run("bootloader", &["--yes", "update", "--image", &file]);
        assert_eq!(code, 4, "{said}");
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn the_boot_after_the_reset_is_checked() {
    let scene = Scene::new("");
    let app = scene.package("door");
    let flash = |more: &[&str]| scene.run("flash", &[&["--app", &app, "--yes", "--boot-timeout", "4s"], more].concat());
    scene.camera.set_faults("no-boot*1".parse().expect("a fault"));
    let (code, _, said) = flash(&[]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains(
            "did not report from 127.0.0.1 within 4 s that it runs its application; its last state was \"bootloader\""
        ),
        "{said}"
    );
    let (code, _, said) = scene.run("flash", &["--app", &app, "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("has this application already"), "{said}");
    // The camera ignores the first request to enter its bootloader.
    scene.camera.set_faults("deaf*1".parse().expect("a fault"));
    let before = scene.camera.history().restarts;
    let (code, _, said) = scene.run("info", &["--yes"]);
    assert_eq!(code, 0, "{said}");
    // Into the bootloader and back. The camera must not vanish at the second restart already.
    assert!(scene.camera.wait_until(AGES, |camera| camera.history().restarts == before + 2), "{said}");
    scene.camera.set_faults("vanish".parse().expect("a fault"));
    let (code, _, said) = flash(&["--force"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("did not enter its bootloader within") || said.contains("it does not answer"), "{said}");
}

/// Another host connects first: when the application has been left, and when it is about to start.
#[test]
fn a_camera_in_use_by_another_host_is_left_alone() {
    let scene = Scene::new("");
    let (door, gate) = (scene.package("door"), scene.package("gate"));
    scene.json("flash", &["--app", &door, "--yes"]);
    let before = scene.camera.history();
    scene.camera.set_faults("taken*1".parse().expect("a fault"));
    let (code, _, said) = scene.run("flash", &["--app", &gate, "--yes"]);
    assert_eq!((code, scene.camera.activity()), (4, Activity::InUse), "{said}");
    assert!(said.contains(&format!("camera {ID} at 127.0.0.1 is in use by a host")), "{said}");
    assert!(said.contains("help: end the program that is connected to it, or power-cycle the camera"), "{said}");
    assert_eq!(scene.camera.history().sessions, before.sessions, "no session with the camera");
    // The camera is still busy for the next command.
    let (code, _, said) = scene.run("flash", &["--app", &gate, "--yes"]);
    assert!(code == 4 && said.contains("is in use by a host"), "{said}");
    scene.camera.with(oaktap::sim::bootloader::SimulatedCamera::released);
    assert!(scene.camera.wait_until(AGES, |camera| camera.activity() == Activity::Bootloader));

    // The other host connects after the reset that should have started the new application.
    scene.camera.set_faults("taken*1".parse().expect("a fault"));
    let (code, _, said) = scene.run("flash", &["--app", &gate, "--yes", "--boot-timeout", "3s"]);
    assert_eq!((code, scene.camera.activity()), (1, Activity::InUse), "{said}");
    assert!(said.contains("the application was written and verified, but its start was not observed"), "{said}");
    assert!(said.contains("its last state was \"in use by a host\""), "{said}");
    scene.camera.with(oaktap::sim::bootloader::SimulatedCamera::released);
    let receipt = scene.json("flash", &["--app", &gate, "--yes"]);
    assert_eq!((&receipt["written"], &receipt["package"]["app_name"]), (&false.into(), &"gate".into()));
    assert_eq!(receipt["running"]["first_frame"]["dialect"], "IMG");
}

/// A camera at two addresses of this host, with the ports of real cameras, counts as one camera.
#[cfg(target_os = "linux")]
#[test]
fn a_camera_with_two_addresses_is_flashed_once() {
    // No other test uses these addresses.
    let [high, low] = u16::try_from(std::process::id() & 0xffff).expect("16 bits").to_be_bytes();
    let addresses = [[127, 83, high, low], [127, 84, high, low]].map(Ipv4Addr::from);
    let config = "nor=32MiB&size=64x48&restart=10ms&wait=3600s&wait-again=2s";
    let camera = CameraSimulator::start(config.parse().expect("a camera"), &addresses.map(Place::standard_ports))
        .expect("ports");
    let scene = Scene { camera, folder: tempfile::tempdir().expect("a folder") };
    let (door, gate) = (scene.package("door"), scene.package("gate"));
    for (address, app, written) in [
        (addresses[0], &door, true),
        (addresses[1], &door, false),
        (addresses[1], &gate, true),
        (addresses[0], &gate, false),
    ] {
        let (code, out, said) = run(&["flash", &address.to_string(), "--app", app, "--yes", "--json"]);
        assert_eq!(code, 0, "{said}");
        let receipt = serde_json::from_str::<Value>(&out).expect("JSON")["summary"].take();
        assert_eq!((&receipt["camera"], &receipt["written"]), (&ID.into(), &written.into()), "{receipt}");
        assert_eq!(receipt["running"]["first_frame"]["dialect"], "IMG", "{said}");
    }
    // Given twice, by both addresses.
    let [one, other] = addresses.map(|address| address.to_string());
    let (code, out, said) = run(&["flash", &one, &other, "--app", &door, "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(out.lines().count() == 1 && out.contains("written, read back"), "{out}");
    assert!(said.contains(&format!("the same camera as {one}")), "{said}");
}

/// The requests of the vendor's client (06_info.txt, 20_config.txt), except for those listed in the docs of
/// `flash::carry_out`.
#[test]
fn info_and_network_send_the_vendors_requests() {
    let scene = Scene::new("emmc=64MiB");
    let asked = |command: &str, more: &[&str]| {
        let before = scene.camera.history().requests.len();
        scene.json(command, more);
        scene.camera.history().requests.split_off(before)
    };
    let greeting = [Request::Version, Request::Commit, Request::Type, Request::IsUserBootloader];
    let get = Request::GetConfig { memory: Memory::Auto, offset: -1, max: 0 };
    let memory = |memory| Request::MemoryDetails { memory };
    let application = |memory| Request::Application { memory };
    // In the order of 06_info.txt, whose last question about memories (the default one) these two answer.
    let expected = [memory(Memory::Flash), memory(Memory::Emmc), application(Memory::Flash), application(Memory::Emmc)];
    assert_eq!(asked("info", &["--yes"]), [&greeting[..], &expected, std::slice::from_ref(&get)].concat());

    // 20_config.txt: read the settings, write all of them with the changes, and read them again.
    let set = |requests: &[Request]| {
        let Some(Request::SetConfig { memory: Memory::Auto, offset: -1, clear: false, total, packets: 1 }) =
            requests.iter().find(|request| matches!(request, Request::SetConfig { .. }))
        else {
            panic!("{requests:?}")
        };
        *total
    };
    let requests = asked("network", &["--yes", "--force", "--no-wait", "dhcp"]);
    let total = set(&requests);
    let write = Request::SetConfig { memory: Memory::Auto, offset: -1, clear: false, total, packets: 1 };
    assert_eq!(requests, [&greeting[..], &[get.clone(), write, get.clone()]].concat());
    // As many bytes as the vendor's client writes for a camera without settings.
    assert_eq!(asked("network", &["--yes", "show"]), [&greeting[..], std::slice::from_ref(&get)].concat());
    // The vendor deletes everything here (SET_BOOTLOADER_CONFIG with `clear`); we delete the network part and keep the
    // rest.
    let requests = asked("network", &["--yes", "--force", "--no-wait", "clear"]);
    assert!(set(&requests) < total, "{requests:?}");
}

#[test]
fn a_simulated_camera_is_listed() {
    let (code, out, said) = run(&["list", "sim:?id=1944301091C10E1300&state=in-use", "--json"]);
    assert_eq!(code, 0, "{said}");
    let listed = serde_json::from_str::<Value>(&out).expect("JSON")["summary"].take();
    let cameras = listed["cameras"].as_array().expect("a list");
    let ours = cameras.iter().find(|camera| camera["id"] == "1944301091C10E1300").unwrap_or_else(|| panic!("{listed}"));
    assert_eq!(ours["state"], "booted", "{ours}");
    let (code, _, said) = run(&["list", "14442C"]);
    assert!(code == 2 && said.contains("`14442C` is not an IPv4 address; expected one such as"), "{said}");
}

/// Cameras at addresses that no other test uses, with the ports of real cameras.
#[cfg(target_os = "linux")]
pub(crate) fn several(ids: &[&str], net: u8, more: &str) -> (Vec<CameraSimulator>, Vec<Place>) {
    let [high, low] = u16::try_from(std::process::id() & 0xffff).expect("16 bits").to_be_bytes();
    let places: Vec<_> =
        (net..).map(|net| Place::standard_ports(Ipv4Addr::from([127, net, high, low]))).take(ids.len()).collect();
    let cameras = ids.iter().zip(&places).map(|(id, place)| {
        let config = format!("nor=32MiB&size=64x48&restart=10ms&wait=3600s&wait-again=2s&id={id}&{more}");
        CameraSimulator::start(config.parse().expect("a camera"), &[*place]).expect("ports")
    });
    (cameras.collect(), places)
}

/// Writes a package of an application to a file, as `oaktap build` does.
#[cfg(target_os = "linux")]
fn identified_package(scene: &Scene, name: &str) -> String {
    let words = ["flash", "sim:", "--camera-only", "--size", "64x48", "--name", name, "--yes", "--no-wait", "--json"];
    let (code, out, said) = run(&words);
    assert_eq!(code, 0, "{said}");
    let receipt: Value = serde_json::from_str(&out).expect("a receipt");
    let build = receipt["summary"]["package"]["build"].as_str().expect("an identifier");
    let app = App { name: name.to_owned(), size: Size::new(64, 48), ..App::default() };
    let checked = app.check(None).expect("it can be built");
    let text = script::identified_text(&checked, build);
    let bytes = pipeline::package(&checked, None, &text, simulated_firmware(), true).expect("a package");
    scene.file(&format!("{name}.dap"), &bytes)
}

/// The whole command is repeated after one of three cameras failed, as from the history of a shell.
#[cfg(target_os = "linux")]
#[test]
fn cameras_that_run_the_package_already_are_not_reset() {
    let scene = Scene::new("");
    let (door, gate) = (identified_package(&scene, "door"), identified_package(&scene, "gate"));
    let (cameras, places) = several(&["14442C10D13EABCE01", "14442C10D13EABCE02", "14442C10D13EABCE03"], 91, "");
    cameras[1].set_faults("corrupt:600*1".parse().expect("a fault"));
    let addresses: Vec<_> = places.iter().map(|place| place.ip.to_string()).collect();
    let flash = |app: &str, more: &[&str]| {
        let all = addresses.iter().map(String::as_str);
        run(&["flash"].into_iter().chain(all).chain(["--app", app]).chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let history = || cameras.iter().map(|camera| (camera.history().restarts, camera.history().sessions)).collect();
    let (code, _, said) = flash(&door, &["--yes", "--jobs", "3"]);
    assert!(code == 1 && said.contains(&format!("1 of 3 cameras failed: {}", addresses[1])), "{said}");
    let before: Vec<_> = history();

    let (code, out, said) = flash(&door, &["--yes", "--json"]);
    assert_eq!(code, 0, "{said}");
    let now: Vec<_> = history();
    assert_eq!((now[0], now[2]), (before[0], before[2]), "{said}");
    assert_eq!(now[1].1, before[1].1 + 1, "{said}");
    assert_eq!(said.matches("  has it already\n").count(), 2, "{said}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let left = lines.iter().filter(|line| line["summary"]["written"] == false && line["summary"]["read_back"] == false);
    assert_eq!(left.count(), 2, "{out}");

    // Nothing is left to be done, so there is nothing to ask, either.
    for more in [&[][..], &["--dry-run"], &["--no-wait"]] {
        let (code, out, said) = flash(&door, more);
        assert_eq!(said.matches("  has it already\n").count(), 3, "{more:?}: {said}");
        assert!(code == 0 && (out + &said).matches("runs exactly this package already").count() == 3, "{said}");
    }
    let (code, _, said) = run(&["flash", &addresses[0], "--app", &door]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(history(), now);

    // Another package, and the memory that the stream does not say.
    let (code, _, said) = flash(&gate, &[]);
    assert!(code == 2 && said.contains("this stops the application on 3 of them"), "{said}");
    let why = "14442C10D13EABCE02, 14442C10D13EABCE03: must be reset to compare the memory: expected gate, found door; \
               expected package ";
    assert!(said.contains(why), "{said}");
    // The package of another tool has no identifier.
    let (code, _, said) = flash(&scene.package("yard"), &[]);
    let why = "must be reset to compare the memory: the package has no identifier that its stream could send\n";
    assert!(code == 2 && said.contains(why), "{said}");
    for more in [["--force", "--dry-run"], ["--memory=flash", "--dry-run"]] {
        let (code, _, said) = flash(&door, &more);
        assert!(code == 2 && said.contains("this stops the application on 3 of them"), "{said}");
    }
    assert_eq!(history(), now);
}

/// The same mistake would put every camera out of reach.
#[cfg(target_os = "linux")]
#[test]
fn a_change_of_several_cameras_stops_at_the_first_failure() {
    let (cameras, places) = several(&["14442C10D13EABCE01", "14442C10D13EABCE02", "14442C10D13EABCE03"], 88, "");
    cameras[1].set_faults("config-refused*1".parse().expect("a fault"));
    let addresses: Vec<_> = places.iter().map(|place| place.ip.to_string()).collect();
    let [one, two, three] = [0, 1, 2].map(|at| addresses[at].as_str());
    let (code, out, said) = run(&["network", one, two, three, "dhcp", "--yes", "--force", "--no-wait", "--json"]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains(&format!("error: 1 of 3 cameras failed: {two}; not tried: {three}")), "{said}");
    assert_eq!(out.lines().count(), 3, "{out}");
    assert_eq!(cameras.iter().map(|camera| camera.history().sessions).collect::<Vec<_>>(), [1, 1, 0]);
    // A camera that does not reply stops the command before the first change.
    let (code, _, said) = run(&["network", one, "192.0.2.1", "dhcp", "--yes", "--force", "--no-wait"]);
    assert!(code == 1 && said.contains(&format!("failed: 192.0.2.1; not tried: {one}")), "{said}");
    assert_eq!(cameras[0].history().sessions, 1);
    // Erasing goes on.
    let (_, _, said) = run(&["erase", "192.0.2.1", two, three, "--yes"]);
    assert!(said.contains("error: 1 of 3 cameras failed: 192.0.2.1\n"), "{said}");
    assert_eq!(cameras.iter().map(|camera| camera.history().sessions).collect::<Vec<_>>(), [1, 2, 1]);
}

#[cfg(target_os = "linux")]
#[test]
fn several_cameras_are_flashed_at_once_with_one_receipt_each() {
    let ids = ["14442C10D13EABCE01", "14442C10D13EABCE02", "14442C10D13EABCE03"];
    let (cameras, places) = several(&ids, 85, "");
    cameras[1].set_faults("corrupt:600000*1".parse().expect("a fault"));
    let scene = Scene::new("");
    let app = scene.package("door");
    let receipts = scene.folder.path().join("receipts");
    let addresses: Vec<_> = places.iter().map(|place| place.ip.to_string()).collect();
    let flash = |more: &[&str]| {
        let mut args = vec!["flash"];
        args.extend(addresses.iter().map(String::as_str));
        run(&[&args, &["--app", &app, "--receipts", receipts.to_str().expect("UTF-8"), "--jobs", "3"][..], more]
            .concat())
    };
    let (code, _, said) = flash(&[]);
    assert!(code == 2 && said.contains("flashing: 3 cameras; standard input is not a terminal"), "{said}");
    let (code, out, said) = flash(&["--yes", "--json"]);
    assert_eq!(code, 1, "{said}");
    // Every message names its camera, and one failure does not stop the others.
    for id in ids {
        assert!(said.contains(&format!("{id}: writing to the flash memory")), "{said}");
    }
    let failed = format!("error: {}: flash failed\n  because reading the application back: byte 600000", addresses[1]);
    assert!(said.contains(&failed) && said.contains("1 of 3 cameras failed: "), "{said}");
    let again = format!("not done: oaktap flash {} --app {app} --receipts", addresses[1]);
    assert!(said.contains(&again), "{said}");
    let ends: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let (total, ends) = ends.split_last().expect("lines");
    assert_eq!((&total["total"]["done"], &total["total"]["failed"][0]), (&2.into(), &addresses[1].as_str().into()));
    let (done, failed): (Vec<_>, Vec<_>) = ends.iter().partition(|line| line["summary"]["error"].is_null());
    let mut flashed: Vec<_> = done.iter().map(|line| line["summary"]["camera"].as_str().expect("an id")).collect();
    flashed.sort_unstable();
    assert_eq!(flashed, [ids[0], ids[2]]);
    assert_eq!(failed.iter().map(|line| &line["summary"]["camera"]).collect::<Vec<_>>(), [ids[1]]);
    let began = cameras.iter().map(|camera| camera.history().sessions);
    assert_eq!(began.collect::<Vec<_>>(), [1, 1, 1]);
    // The names of a file select the cameras, and the ports in it are those of their streams.
    let names = ["front", "yard", "gate"];
    let lines: String = names.iter().zip(&addresses).map(|(name, ip)| format!("{name} = \"{ip}:5000\"\n")).collect();
    let config = scene.file("oaktap.toml", format!("[cameras]\n{lines}").as_bytes());
    let receipts_text = receipts.to_str().expect("UTF-8");
    let options = ["--config", &config, "--app", &app, "--receipts", receipts_text, "--yes"];
    let (code, out, said) = run(&[&["flash"], &names[..], &options].concat());
    assert_eq!(code, 0, "{said}");
    assert_eq!((out.matches("already present").count(), out.matches("written, read back").count()), (2, 1), "{out}");
    assert_eq!(said.matches("  has it already\n").count(), 2, "{said}");
    assert!(ids.iter().zip(names).all(|(id, name)| out.contains(&format!("{id} ({name}): "))), "{out}");
    let kept = std::fs::read_dir(&receipts).expect("a folder").count();
    assert_eq!(kept, 6, "three, of which one failed, and three");
}
