//! Signals to the program while it works on a simulated camera: INT, TERM and HUP never leave a camera that cannot boot.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

use oaktap::bootloader::{Memory, map};
use oaktap::package::PackageBuilder;
use oaktap::sim::bootloader::{Activity, SimulatedCamera};

use crate::command::{AGES, Scene, image};
use crate::program::{oaktap, signal};

/// A camera that writes 1 MiB/s, in steps of 1 MiB, and has an application.
fn scene() -> Scene {
    let scene = Scene::new("bootloader=0.0.26&image=0.0.28&write-rate=1MiB");
    let app = scene.package("door");
    scene.json("flash", &["--app", &app, "--yes"]);
    scene
}

/// Reads standard error up to a line that contains `text`, and returns the lines.
fn read_until(child: &mut Child, text: &str) -> String {
    let mut lines = BufReader::with_capacity(1, child.stderr.as_mut().expect("a pipe"));
    let mut said = String::new();
    while !said.contains(text) {
        assert_ne!(lines.read_line(&mut said).expect("UTF-8"), 0, "`{text}` was not printed: {said}");
    }
    said
}

/// Waits for the end. Returns the exit code and the rest of standard error.
fn end(mut child: Child) -> (Option<i32>, String) {
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
    (child.wait().expect("it ends").code(), said)
}

/// Returns whether the camera has this byte of the data in its memory.
fn has(camera: &mut SimulatedCamera, offset: u32, data: &[u8], at: usize) -> bool {
    let memory = camera.memory(Memory::Flash).expect("there is one");
    memory.read(u64::from(offset) + at as u64, 16).expect("inside of the memory") == data[at..at + 16]
}

/// Waits until the camera is out of the session, and checks that it is not dead.
fn assert_alive(scene: &Scene, context: &str) {
    let settled = |camera: &mut SimulatedCamera| {
        matches!(camera.activity(), Activity::Application { .. } | Activity::Recovery | Activity::Gone)
    };
    assert!(scene.camera.wait_until(AGES, settled), "{context}: {:?}", scene.camera.activity());
    assert!(matches!(scene.camera.activity(), Activity::Application { .. }), "{context}");
}

#[test]
fn a_signal_while_the_factory_slot_is_written_is_held_back() {
    for (name, at) in [("INT", 100), ("TERM", 700_001), ("HUP", (1 << 20) - 64)] {
        for action in ["update", "factory-reset"] {
            let scene = scene();
            let new = image("0.0.28");
            let file = scene.file("eth.cmd", &new);
            let mut args = vec!["--yes", action, "--image", &file];
            args.extend((action == "update").then_some("--factory"));
            let mut child = scene.start("bootloader", &args);
            let mut said = read_until(&mut child, "writing the factory bootloader");
            let context = format!("{action} {name} at {at}");
            assert!(scene.camera.wait_until(AGES, |camera| has(camera, map::BOOTLOADER, &new, at)), "{context}");
            signal(&child, name);
            said += &read_until(&mut child, "cannot stop now, ");
            signal(&child, "TERM");
            signal(&child, "INT");
            let (code, rest) = end(child);
            said += &rest;
            assert_eq!(code, Some(1), "{context}: {said}");
            assert!(said.contains(" left: the camera could boot over USB only"), "{context}: {said}");
            assert!(said.contains("the bootloader was written and verified"), "{context}: {said}");
            assert!(said.contains("help: `oaktap bootloader 127.0.0.1"), "{context}: {said}");
            assert!(scene.stored(map::BOOTLOADER, new.len()) == new, "{context}");
            let alive = |camera: &mut SimulatedCamera| {
                matches!(camera.activity(), Activity::Bootloader | Activity::Application { .. } | Activity::Recovery)
            };
            assert!(scene.camera.wait_until(AGES, alive), "{context}");
            assert_ne!(scene.camera.activity(), Activity::Recovery, "{context}");
            let (code, _, said) = scene.run("bootloader", &["--yes", "show"]);
            assert_eq!(code, 0, "{context}: {said}");
        }
    }
}

#[test]
fn a_signal_while_an_application_is_written_ends_in_order() {
    for (name, at) in [("INT", 5000), ("TERM", 1_500_000), ("HUP", 2_600_000)] {
        let scene = scene();
        let bytes = PackageBuilder::new(b"MA2x, and no firmware of anybody".to_vec())
            .asset_storage((0..4_000_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>())
            .app_name("gate")
            .build()
            .expect("a package");
        let app = scene.file("gate.dap", &bytes);
        let child = scene.start("flash", &["--app", &app, "--yes", "--no-wait"]);
        let context = format!("{name} at {at}");
        // The camera erases the beginning first. Some bytes after it are those of the application before.
        let writes = |camera: &mut SimulatedCamera| {
            has(camera, map::APPLICATION, &[map::ERASED; 16], 0) && has(camera, map::APPLICATION, &bytes, at)
        };
        assert!(scene.camera.wait_until(AGES, writes), "{context}");
        signal(&child, name);
        let (code, said) = end(child);
        assert_eq!(code, Some(1), "{context}: {said}");
        assert!(said.contains("error: stopped at byte "), "{context}: {said}");
        let state =
            " while writing the application; the camera has no application now; its bootloader and its settings";
        assert!(said.contains(state), "{context}: {said}");
        assert!(said.contains("help: `oaktap flash 127.0.0.1"), "{context}: {said}");
        // The camera is out of the session and can be flashed.
        let free = |camera: &mut SimulatedCamera| {
            matches!(camera.activity(), Activity::Bootloader | Activity::Application { .. })
        };
        assert!(scene.camera.wait_until(AGES, free), "{context}");
        scene.json("flash", &["--app", &app, "--yes"]);
        assert_alive(&scene, &context);
    }
}

#[test]
fn a_signal_to_every_other_command_leaves_a_camera_that_boots() {
    for (command, more, text) in [
        ("backup", &["--yes"][..], "reading the application"),
        ("erase", &["--yes"], "writing the application's table"),
        ("network", &["--yes", "--force", "dhcp"], "entering the bootloader"),
        ("network", &["--yes", "show"], "entering the bootloader"),
        ("info", &["--yes"], "entering the bootloader"),
        ("bootloader", &["--yes", "show"], "entering the bootloader"),
        ("reset", &["--yes"], "entering the bootloader"),
        ("flash", &["--yes", "--dry-run"], "entering the bootloader"),
    ] {
        for name in ["INT", "TERM", "HUP"] {
            let scene = scene();
            let app = scene.package("gate");
            let output = scene.folder.path().to_str().expect("UTF-8").to_owned();
            let mut args = more.to_vec();
            match command {
                "backup" => args.extend(["-o", &output]),
                "flash" => args.extend(["--app", &app]),
                _ => {}
            }
            let context = format!("{command} {more:?} {name}");
            let mut child = scene.start(command, &args);
            let mut said = read_until(&mut child, text);
            signal(&child, name);
            let (code, rest) = end(child);
            said += &rest;
            // It may have been faster than the signal.
            assert!(matches!(code, Some(0 | 1)), "{context}: {code:?} {said}");
            assert!(code == Some(0) || (said.contains("stopped") && said.contains("` continues")), "{context}: {said}");
            if command == "backup" && code == Some(1) {
                let waited = "waiting until the application runs again; Ctrl-C ends the waiting: ";
                assert!(said.contains(waited) && said.contains(": runs its application again"), "{context}: {said}");
            }
            if command == "erase" {
                let free = |camera: &mut SimulatedCamera| {
                    matches!(camera.activity(), Activity::Bootloader | Activity::Application { .. })
                };
                assert!(scene.camera.wait_until(AGES, free), "{context}");
            } else {
                assert_alive(&scene, &context);
            }
        }
    }
}

#[test]
fn a_signal_at_a_question_changes_nothing() {
    let scene = scene();
    let file = scene.file("eth.cmd", &image("0.0.28"));
    let args = scene.at("bootloader", &["--yes", "factory-reset", "--image", &file]);
    let mut child = oaktap(&args.iter().map(String::as_str).collect::<Vec<_>>())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let input = child.stdin.take();
    let before = scene.stored(map::BOOTLOADER, 1 << 20);
    read_until(&mut child, "type the id of the camera");
    signal(&child, "INT");
    let (code, said) = end(child);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: stopped; nothing was changed in the camera"), "{said}");
    drop(input);
    assert!(scene.stored(map::BOOTLOADER, 1 << 20) == before);
    assert_alive(&scene, "after the question");
}
