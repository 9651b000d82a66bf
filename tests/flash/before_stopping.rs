//! Faults that the commands for cameras find before they stop an application, and the state that they report when they
//! find one later.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use oaktap::bootloader::config::{Config, HostWait};
use oaktap::bootloader::{Caller, Memory, SettingsError};
use oaktap::flash::{BootObstacle, FlashOptions, boot_obstacle};
use oaktap::sim::bootloader::Activity;

use crate::command::{AGES, ID, Scene, image};
use crate::flasher::{Bench, package};
use crate::program::run;

/// Runs the command for the camera with another TCP port.
fn run_at(scene: &Scene, port: u16, command: &str, more: &[&str]) -> (i32, String, String) {
    let mut args = scene.at(command, more);
    args[1] = format!("127.0.0.1:{port}");
    run(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_port_of_a_stream_is_refused_before_the_application_stops() {
    let scene = Scene::new("state=application");
    let stream = scene.camera.places()[0].stream;
    let (app, image) = (scene.package("door"), scene.file("eth.cmd", &image("0.0.28")));
    let folder = scene.folder.path().to_str().expect("UTF-8");
    for (command, more) in [
        ("info", &["--yes"][..]),
        ("backup", &["--yes", "-o", folder]),
        ("reset", &["--yes"]),
        ("boot", &["--yes"]),
        ("erase", &["--yes"]),
        ("network", &["--yes", "show"]),
        ("network", &["--yes", "--force", "dhcp"]),
        ("bootloader", &["--yes", "show"]),
        ("bootloader", &["--yes", "update", "--image", &image]),
        ("flash", &["--yes", "--app", &app]),
        ("flash", &["--yes", "--app", &app, "--dry-run"]),
    ] {
        let (code, out, said) = run_at(&scene, stream, command, more);
        let mut again = scene.at(command, more);
        again[1] = "127.0.0.1".to_owned();
        let error = format!(
            "error: TCP port {stream} of camera {ID} belongs to its running application, expected the port of its \
             bootloader\nhelp: nothing was changed; give the camera without the port: oaktap {}\n",
            again.join(" ")
        );
        assert_eq!((code, out.as_str(), said.as_str()), (2, "", error.as_str()), "{command} {more:?}");
    }
    let (_, out, _) = run_at(&scene, stream, "info", &["--yes", "--json"]);
    assert!(out.contains(&format!("\"id\":\"{ID}\"")), "{out}");
    let history = scene.camera.history();
    assert_eq!((history.restarts, history.sessions), (0, 0));
    assert_eq!(scene.camera.activity(), Activity::Application { silent: false });
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, stream)).expect("the stream");
    connection.set_read_timeout(Some(AGES)).expect("a time");
    connection.read_exact(&mut [0; 1000]).expect("the camera streams");
}

/// Another client holds the stream, so the camera sends nothing to the one that asks.
#[test]
fn the_port_of_a_stream_with_a_client_is_refused() {
    let scene = Scene::new("state=application");
    let stream = scene.camera.places()[0].stream;
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, stream)).expect("the stream");
    client.read_exact(&mut [0; 1000]).expect("the camera streams");
    let (code, _, said) = run_at(&scene, stream, "info", &["--yes"]);
    assert!(code == 2 && said.contains("belongs to its running application"), "{code}: {said}");
    client.read_exact(&mut [0; 1000]).expect("the camera still streams to its client");
    assert_eq!(scene.camera.history().restarts, 0);
}

/// A port that nobody listens on can be that of a bootloader, until the bootloader runs.
#[test]
fn a_port_that_proves_wrong_later_leaves_the_state_of_the_camera() {
    // Several at once: each takes seconds to fail.
    std::thread::scope(|threads| {
        threads.spawn(|| proves_wrong("reset", &["--yes"]));
        threads.spawn(|| proves_wrong("erase", &["--yes"]));
        threads.spawn(|| proves_wrong("network", &["--yes", "--force", "dhcp"]));
        threads.spawn(|| proves_wrong("flash", &["--yes"]));
    });
}

fn proves_wrong(command: &str, more: &[&str]) {
    let scene = Scene::new("state=application&wait=3s");
    let app = scene.package("door");
    let package = if command == "flash" { &["--app", &app][..] } else { &[] };
    let (code, _, said) = run_at(&scene, closed_port(), command, &[more, package].concat());
    assert_eq!(code, 1, "{said}");
    let waits = format!("waiting until the application runs again: {ID}\n{ID}: runs its application again\n");
    assert!(said.contains(&waits), "{command}: {said}");
    let state =
        format!("camera {ID} entered its bootloader, which boots the application by itself: by default after 30 s\n");
    let help = format!(
        "help: give the camera without the port, unless it is forwarded to port 11490 of the camera; `oaktap boot \
         127.0.0.1 --udp-port {}` boots the application at once",
        scene.camera.places()[0].discovery
    );
    assert!(said.contains(&state) && said.contains("because cannot connect to 127.0.0.1:"), "{said}");
    assert!(said.trim_end().ends_with(&help), "{said}");
    assert_eq!(scene.camera.activity(), Activity::Application { silent: false });
}

fn closed_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// The application of the second camera is not stopped for nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_port_that_proved_wrong_for_one_camera_is_not_tried_on_the_next() {
    let ids = ["14442C10D13EABCE01", "14442C10D13EABCE02"];
    let (cameras, places) = crate::command::several(&ids, 99, "state=application&wait=3s");
    let closed = closed_port();
    let words: Vec<_> = places.iter().map(|place| format!("{}:{closed}", place.ip)).collect();
    let (code, _, said) = run(&["reset", &words[0], &words[1], "--yes"]);
    let kept = format!(
        "camera {} was not stopped, because the bootloader of camera {} did not listen on TCP port {closed}\nhelp: nothing \
         was changed; give the camera without the port: {}\n",
        ids[1], ids[0], places[1].ip
    );
    assert!(code == 1 && said.contains(&kept), "{code}: {said}");
    assert!(said.contains(&format!("waiting until the application runs again: {}\n", ids[0])), "{said}");
    assert_eq!(cameras.iter().map(|camera| camera.history().restarts > 0).collect::<Vec<_>>(), [true, false]);
    for camera in &cameras {
        assert_eq!(camera.activity(), Activity::Application { silent: false });
    }
}

#[test]
fn files_that_exist_are_found_before_the_question() {
    let scene = Scene::new("state=application");
    let file = scene.file(&format!("{ID}.config.json"), b"{}");
    let folder = scene.folder.path().to_str().expect("UTF-8");
    for yes in [&["--yes"][..], &[]] {
        let (code, _, said) = scene.run("backup", &[yes, &["-o", folder]].concat());
        assert!(code == 1 && said.starts_with(&format!("error: {file} already exists\n")), "{code}: {said}");
        assert_eq!(said.matches('\n').count(), 2, "{said}");
    }
    assert_eq!(scene.camera.history().restarts, 0);
}

#[test]
fn settings_out_of_reach_are_found_before_the_question() {
    let scene = Scene::new("state=application");
    let (code, _, said) = scene.run("network", &["static", "198.51.100.77/24", "198.51.100.1"]);
    assert!(code == 4 && said.starts_with("error: no interface of this host is in 198.51.100.0/24"), "{code}: {said}");
    assert_eq!(scene.camera.history().restarts, 0);
}

/// One camera that waits in its bootloader: nothing is stopped, but it is changed.
#[test]
fn every_change_of_a_camera_in_its_bootloader_needs_consent() {
    let scene = Scene::new("");
    let (app, image) = (scene.package("door"), scene.file("eth.cmd", &image("0.0.28")));
    let stored = scene.stored(0, 16 << 20);
    for (command, more, doing) in [
        ("network", &["static", "127.0.0.77/8", "127.0.0.1", "--force"][..], "changing the network settings"),
        ("network", &["dhcp", "--force"], "changing the network settings"),
        ("network", &["clear", "--force"], "changing the network settings"),
        ("erase", &[], "erasing the application"),
        ("flash", &["--app", &app], "flashing"),
        ("bootloader", &["update", "--image", &image], "writing a bootloader"),
        ("bootloader", &["factory-reset", "--image", &image], "writing a bootloader"),
    ] {
        let (code, out, said) = scene.run(command, more);
        let error = format!(
            "error: {doing}: camera {ID} at 127.0.0.1; standard input is not a terminal, so confirm with --yes"
        );
        assert!(code == 2 && out.is_empty() && said.contains(&error), "{command} {more:?}: {code}: {said}");
    }
    assert_eq!((scene.camera.history().sessions, scene.camera.history().restarts), (0, 0));
    assert!(scene.stored(0, 16 << 20) == stored);
    // Reading needs no consent.
    for (command, more) in [("network", &["show"][..]), ("info", &[]), ("bootloader", &["show"])] {
        let (code, _, said) = scene.run(command, more);
        assert_eq!(code, 0, "{command}: {said}");
    }
}

/// One camera has a file already. The other one is saved, and the first keeps running.
#[cfg(target_os = "linux")]
#[test]
fn a_check_that_fails_for_one_camera_leaves_it_alone_and_the_others_get_their_turn() {
    let ids = ["14442C10D13EABCE01", "14442C10D13EABCE02"];
    let (cameras, places) = crate::command::several(&ids, 97, "state=application");
    let scene = Scene::new("");
    let folder = scene.folder.path().to_str().expect("UTF-8");
    scene.file(&format!("{}.flash.dap", ids[0]), b"");
    let addresses: Vec<_> = places.iter().map(|place| place.ip.to_string()).collect();
    let (code, _, said) = run(&["backup", &addresses[0], &addresses[1], "--yes", "-o", folder]);
    assert!(code == 1 && said.contains(&format!("1 of 2 cameras failed: {}", addresses[0])), "{code}: {said}");
    assert!(said.contains(&format!("waiting until the application runs again: {}\n", ids[1])), "{said}");
    assert_eq!(cameras.iter().map(|camera| camera.history().sessions).collect::<Vec<_>>(), [0, 1]);
    assert!(scene.folder.path().join(format!("{}.flash.dap", ids[1])).exists());
}

#[test]
fn a_reset_without_an_application_to_boot_ends_at_once() {
    let scene = Scene::new("emmc=64MiB&state=application");
    assert_eq!(scene.run("erase", &["--yes"]).0, 0);
    for command in ["reset", "boot"] {
        let (code, _, said) = scene.run(command, &["--yes", "--boot-timeout", "1h"]);
        let error = format!("error: camera {ID} was reset, but it has no application to boot (memory: flash, emmc)\n");
        assert!(code == 1 && said.contains(&error) && said.contains("`oaktap flash` writes an application"), "{said}");
        assert_eq!(scene.run(command, &["--yes", "--no-wait"]).0, 0);
    }
}

/// Returns the obstacle of the camera, after these settings were stored.
fn obstacle(bench: &mut Bench, set: impl FnOnce(&mut Config) + 'static) -> Option<BootObstacle> {
    let task = async move |caller: Caller| {
        caller.identify().await?;
        let mut config = caller.settings().await?.unwrap_or_default();
        set(&mut config);
        caller.store_settings(&config).await?;
        Ok::<_, SettingsError>(boot_obstacle(&caller).await?)
    };
    bench.session(task).0.expect("no fault")
}

#[test]
fn the_memory_and_the_wait_in_the_settings_decide_whether_an_application_boots() {
    let mut bench = Bench::new("nor=32MiB&emmc=64MiB&wait-again=5s");
    let none = |memories: &[Memory]| Some(BootObstacle::NoApplication(memories.to_vec()));
    let ask = async |caller: Caller| boot_obstacle(&caller).await;
    assert_eq!(bench.session(ask).0, Ok(none(&[Memory::Flash, Memory::Emmc])), "no settings");
    bench.flash(&package("door"), FlashOptions { memory: Memory::Flash, force: false }).expect("no fault");
    let ask = async |caller: Caller| boot_obstacle(&caller).await;
    assert_eq!(bench.session(ask).0, Ok(None));
    assert_eq!(obstacle(&mut bench, |config| config.set_application_memory(Memory::Emmc)), none(&[Memory::Emmc]));
    assert_eq!(obstacle(&mut bench, |config| config.set_application_memory(Memory::Auto)), None);
    let forever = |config: &mut Config| config.set_network_host_wait(HostWait::Forever).expect("a table");
    assert_eq!(obstacle(&mut bench, forever), Some(BootObstacle::WaitsForever));
    // It does not report its memories.
    let mut old = Bench::new("nor=32MiB&bootloader=0.0.15");
    let ask = async |caller: Caller| boot_obstacle(&caller).await;
    assert_eq!(old.session(ask).0, Ok(None));
}

#[test]
fn the_wait_for_a_new_address_ends_when_the_user_said() {
    let scene = Scene::new("");
    let words = ["--yes", "--force", "--idle-timeout", "1s", "static", "198.51.100.77/24", "198.51.100.1"];
    let (code, _, said) = scene.run("network", &words);
    let place = scene.camera.places()[0];
    let error = format!(
        "error: the settings were written and read back, but camera {ID} did not answer at 198.51.100.77 within 1 s; it still \
         answers at 127.0.0.1\nhelp: `oaktap network --udp-port {} 127.0.0.1:{} show` shows its settings\n",
        place.discovery, place.link
    );
    assert!(code == 1 && said.ends_with(&error), "{code}: {said}");
}

/// A camera that runs its application, but streams on another port than the one that is waited for.
#[test]
fn a_wait_for_the_wrong_port_of_the_stream_names_the_option() {
    let scene = Scene::new("state=application");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let closed = listener.local_addr().expect("an address").port().to_string();
    drop(listener);
    let mut args = scene.at("reset", &["--yes", "--boot-timeout", "12s"]);
    let at = args.iter().position(|word| word == "--stream-port").expect("it is given") + 1;
    args[at].clone_from(&closed);
    let (code, _, said) = run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let reminder = format!(
        "{ID}: runs its application, but has sent no frame yet; if its stream uses another port, give --stream-port\n"
    );
    assert!(code == 1 && said.contains(&reminder), "{code}: {said}");
    assert!(said.contains(&format!("cannot connect to 127.0.0.1:{closed} within 12 s")), "{said}");
}

/// A port in a configuration file is that of the stream: the error of a command that did not use it says so.
#[cfg(target_os = "linux")]
#[test]
fn the_port_of_a_file_that_was_not_used_is_named() {
    let scene = Scene::new("state=application&wait=3s");
    let place = scene.camera.places()[0];
    let file = scene.file("fleet.toml", format!("[cameras]\ncam-21 = \"127.0.0.1:{}\"\n", place.link).as_bytes());
    let (code, _, said) =
        run(&["reset", "cam-21", "--config", &file, "--udp-port", &place.discovery.to_string(), "--yes"]);
    let help = format!(
        "help: the port {0} of cam-21 in {file} is that of its stream; give `127.0.0.1:{0}` on the command line to reach its \
         bootloader there\n",
        place.link
    );
    assert!(code == 1 && said.contains("cannot connect to 127.0.0.1:11490") && said.contains(&help), "{code}: {said}");
}

/// A file for all commands holds cameras of every kind. Only those that have a bootloader are worked on.
#[test]
fn entries_of_a_file_without_a_bootloader_are_skipped_unless_they_are_named() {
    let scene = Scene::new("");
    let place = scene.camera.places()[0];
    let text =
        "[cameras]\nhttp-1 = \"http://127.0.0.1:31120/\"\nudp-1 = \"udp://:31121\"\nlisten-1 = \"listen://:31122\"\n";
    let (file, udp) = (scene.file("fleet.toml", text.as_bytes()), place.discovery.to_string());
    let options = ["--config", &file, "--udp-port", &udp];
    let (code, out, said) = run(&[&["list"], &options[..]].concat());
    let skipped = "skipped udp-1, listen-1: their addresses are not those of a camera's bootloader\n";
    assert!(code == 0 && said.contains(skipped) && out.contains(&format!("{ID} (http-1)")), "{code}: {out}{said}");
    let (code, _, said) = run(&[&["info", "udp-1", "--yes"], &options[..]].concat());
    let error = format!(
        "error: {file}, cameras: udp://:31121 is not the address of a camera's bootloader\nhelp: give the address or the id \
         of the camera instead of udp-1\n"
    );
    assert!(code == 2 && said == error, "{code}: {said}");
}
