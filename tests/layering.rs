//! Rules about the source tree that the compiler does not check: which folder may import which, words that a folder must
//! not contain, and the length and names of files.

use std::fs;
use std::path::Path;

/// The folders (and files) of `src/`, from the top to the bottom. An import goes down this list, never up. Folders in one
/// row do not import each other.
const ORDER: &[&[&str]] = &[
    &["main", "python"],
    &["cli"],
    &["serve"],
    &["sink"],
    &["view"],
    &["doctor"],
    &["live"],
    &["export"],
    &["source"],
    &["sim"],
    &["recording"],
    &["net"],
    &["file"],
    &["flash"],
    &["device"],
    &["package"],
    &["bootloader"],
    &["stats"],
    &["access_unit", "decode", "encode"],
    &["convert"],
    &["overlay"],
    &["hub"],
    &["wire"],
    &["discovery", "xlink"],
    &["frame"],
    &["error", "sync", "units"],
];
/// Imports that go up all the same: the file, and the folder that it imports.
const UPWARD: &[(&str, &str)] = &[];

/// Folders without sockets, files, threads and clocks: time is an argument, and bytes are slices.
const PURE: &[&str] = &[
    "src/access_unit.rs",
    "src/bootloader/",
    "src/convert/",
    "src/decode/",
    "src/device/",
    "src/discovery/",
    "src/doctor/",
    "src/encode.rs",
    "src/error.rs",
    "src/flash/",
    "src/frame/",
    "src/hub/",
    "src/overlay/",
    "src/package/",
    "src/sim/faults.rs",
    "src/stats/",
    "src/units.rs",
    "src/wire/",
    "src/xlink/",
];
/// Gathers what the checks of `doctor` judge.
const OBSERVER: &[&str] = &["src/doctor/observe/"];
const PROGRAM: &[&str] = &["src/cli/", "src/main.rs"];
const ALL: &[&str] = &["src/"];

/// Code of files below `places`, but not below `except`, must not contain `word`.
struct Wall {
    word: &'static str,
    places: &'static [&'static str],
    except: &'static [&'static str],
}

const WALLS: &[Wall] = &[
    // Addresses are values, so `std::net` may be named for them; sockets may not.
    Wall { word: "crate::net", places: PURE, except: OBSERVER },
    Wall { word: "net::*", places: PURE, except: OBSERVER },
    Wall { word: "UdpSocket", places: PURE, except: OBSERVER },
    Wall { word: "TcpStream", places: PURE, except: OBSERVER },
    Wall { word: "TcpListener", places: PURE, except: OBSERVER },
    Wall { word: "ToSocketAddrs", places: PURE, except: OBSERVER },
    Wall { word: "fs::", places: PURE, except: OBSERVER },
    Wall { word: "std::fs", places: PURE, except: OBSERVER },
    Wall { word: "Instant::now", places: PURE, except: OBSERVER },
    Wall { word: "SystemTime::now", places: PURE, except: OBSERVER },
    Wall { word: "thread::", places: PURE, except: OBSERVER },
    Wall { word: "tokio", places: PURE, except: OBSERVER },
    Wall { word: "println!", places: ALL, except: PROGRAM },
    Wall { word: "eprintln!", places: ALL, except: PROGRAM },
    Wall { word: "anyhow", places: ALL, except: PROGRAM },
    Wall {
        word: "allow(unsafe_code",
        places: ALL,
        except: &[
            "src/convert/dispatch.rs",
            "src/encode.rs",
            "src/net/low_water.rs",
            "src/python/buffer.rs",
            "src/sink/window/platform/xlib.rs",
        ],
    },
    Wall { word: "x11rb", places: ALL, except: &["src/sink/window/platform/"] },
    Wall { word: "rusttype", places: ALL, except: &["src/overlay/font.rs"] },
    Wall { word: "rusty_h265", places: ALL, except: &["src/decode/h265.rs"] },
    Wall { word: "axum", places: ALL, except: &["src/serve/"] },
    Wall { word: "minifb", places: ALL, except: &["src/sink/window/"] },
];

/// Most lines of a file without its tests. About 400 is the aim.
const LINES: usize = 500;
/// Longer files, with the reason.
const LONG: &[(&str, usize)] = &[
    // One state machine: all states share all fields, and every byte is counted where it changes hands.
    ("src/wire/decoder/mod.rs", 600),
    // One frame of the simulated camera and each way of damaging it, with the truth beside every byte.
    ("src/sim/stream.rs", 550),
];
/// Names that do not say what is inside.
const NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "types", "manager", "misc"];

/// Returns the numbered lines before the tests, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let untested = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let code = |line| str::split(line, " //").next().filter(|line| !line.trim_start().starts_with("//"));
    (1..).zip(untested.lines()).map(move |(number, line)| (number, code(line).unwrap_or("")))
}

fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Returns the row of a folder in [`ORDER`]; 0 is the top.
fn row(folder: &str) -> Option<usize> {
    ORDER.iter().position(|folders| folders.contains(&folder))
}

/// Returns the folder of `src/` that a file belongs to: `src/net/clock.rs` and `src/net.rs` belong to `net`.
fn folder_of(path: &str) -> &str {
    let below = path.strip_prefix("src/").unwrap_or(path);
    below.split(['/', '.']).next().unwrap_or(below)
}

/// Returns the folders that code names with `crate::folder`, or, in the program, with `oaktap::folder`, with their lines.
/// An import of several folders in braces is found too.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut braces, mut inside) = (0, false);
    for (number, line) in code(text) {
        for root in ["crate::", "oaktap::"] {
            for (at, _) in line.match_indices(root) {
                let rest = &line[at + root.len()..];
                if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if name.is_empty() {
                    inside = rest.starts_with('{');
                } else {
                    found.push((number, name));
                }
            }
        }
        if inside {
            // `use crate::{a::B, c::{D, E}}`: names at the first level of braces.
            let start = line.find("::{").map_or(0, |at| at + 2);
            let mut word = String::new();
            for c in line[start..].chars() {
                match c {
                    '{' => braces += 1,
                    '}' => braces -= 1,
                    _ => {}
                }
                if c.is_alphanumeric() || c == '_' {
                    word.push(c);
                    continue;
                }
                if braces == 1 && (c == ':' || c == ',') || braces == 0 && c == '}' {
                    found.extend(row(&word).map(|_| (number, word.clone())));
                }
                word.clear();
            }
            inside = braces > 0;
        }
    }
    found
}

fn upward_imports(path: &str, text: &str) -> Vec<String> {
    let folder = folder_of(path);
    let Some(own) = row(folder) else {
        return if folder == "lib" { Vec::new() } else { vec![format!("{path}: `{folder}` has no place in ORDER")] };
    };
    let is_upward = |name: &String| {
        name != folder && row(name).is_some_and(|row| row <= own) && !UPWARD.contains(&(path, name.as_str()))
    };
    let upward = imports(text).into_iter().filter(|(_, name)| is_upward(name));
    upward.map(|(number, name)| format!("{path}:{number}: `{folder}` imports `{name}`, which is above it")).collect()
}

fn offenses(path: &str, text: &str) -> Vec<String> {
    let below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    let walls: Vec<_> = WALLS.iter().filter(|wall| below(wall.places) && !below(wall.except)).collect();
    let mut found = upward_imports(path, text);
    for (number, line) in code(text) {
        let broken = walls.iter().filter(|wall| contains_word(line, wall.word));
        found.extend(broken.map(|wall| format!("{path}:{number}: contains `{}`", wall.word)));
    }
    let lines = code(text).count();
    let limit = LONG.iter().find(|(long, _)| *long == path).map_or(LINES, |(_, limit)| *limit);
    if lines > limit {
        found.push(format!("{path}: {lines} lines without tests, expected at most {limit}"));
    }
    let named = path.trim_end_matches(".rs").split('/').filter(|part| NAMES.contains(part));
    found.extend(named.map(|part| format!("{path}: the name `{part}` does not say what is inside")));
    found
}

/// Calls `visit` with each source file below `folder`, except files of tests.
fn visit(folder: &Path, seen: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).expect("src/ can be read") {
        let path = entry.expect("its entries too").path();
        if path.is_dir() {
            visit(&path, seen);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            seen(&path);
        }
    }
}

/// Returns the path of each source file, relative to the root of the repository, with its text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    visit(&root.join("src"), &mut |path| {
        let name = path.strip_prefix(root).expect("it is below the root").to_string_lossy().replace('\\', "/");
        sources.push((name, fs::read_to_string(path).expect("source is UTF-8")));
    });
    sources
}

#[test]
fn no_file_breaks_a_rule() {
    let sources = sources();
    assert!(sources.len() > 100, "only {} files", sources.len());
    let found: Vec<_> = sources.iter().flat_map(|(path, text)| offenses(path, text)).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_place_in_a_rule_exists() {
    let sources = sources();
    let exists = |place: &str| sources.iter().any(|(path, _)| path.starts_with(place));
    let walls = WALLS.iter().flat_map(|wall| wall.places.iter().chain(wall.except));
    let places = walls.chain(LONG.iter().map(|(path, _)| path)).chain(UPWARD.iter().map(|(path, _)| path));
    for place in places {
        assert!(exists(place), "{place} does not exist");
    }
    for folder in ORDER.iter().flat_map(|row| row.iter()) {
        assert!(
            exists(&format!("src/{folder}/")) || exists(&format!("src/{folder}.rs")),
            "src/{folder} does not exist"
        );
    }
    assert!(UPWARD.len() <= 3, "more exceptions than the order can bear");
}

#[test]
fn one_module_style() {
    let sources = sources();
    for (path, _) in &sources {
        let folder = path.replace(".rs", "/");
        assert!(
            !sources.iter().any(|(other, _)| other.starts_with(&folder)),
            "{path} stands beside {folder}: use mod.rs"
        );
    }
}

#[test]
fn every_kind_of_violation_is_found() {
    for wall in WALLS {
        for place in wall.places {
            let path = if place.ends_with(".rs") { (*place).into() } else { format!("{place}made_up.rs") };
            let text = format!("fn ok() {{}}\nfn bad() {{ {} }}\n", wall.word);
            let expected = format!("{path}:2: contains `{}`", wall.word);
            assert!(offenses(&path, &text).contains(&expected), "{path}: {}", wall.word);
            let harmless =
                format!("//! {0}\nlet a = 1; // {0}\nlet not_{0};\n#[cfg(test)]\nmod tests {{ {0} }}", wall.word);
            let contains = |line: &String| line.contains("contains");
            assert!(!offenses(&path, &harmless).iter().any(contains), "{path}");
        }
        for path in wall.except {
            let broken = format!("contains `{}`", wall.word);
            assert!(!offenses(path, wall.word).iter().any(|line| line.contains(&broken)), "{path}");
        }
    }
    for text in [
        "use crate::sink::record;",
        "fn f() { crate::sink::record() }",
        "use crate::{frame::Frame, sink::record::Options};",
        "use crate::{\n    frame::{Frame, Picture},\n    sink,\n};",
    ] {
        let found = offenses("src/wire/a.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains("`wire` imports `sink`, which is above it"), "{found:?}");
    }
    for text in
        ["use crate::frame::{Frame, Picture};", "use crate::wire::Event;", "// crate::sink", "use not_crate::sink;"]
    {
        assert_eq!(offenses("src/wire/a.rs", text), [""; 0], "{text}");
    }
    assert_eq!(offenses("src/discovery/a.rs", "use crate::xlink::PORT;").len(), 1, "folders of one row are strangers");
    assert_eq!(offenses("src/new/a.rs", ""), ["src/new/a.rs: `new` has no place in ORDER"]);
    assert_eq!(offenses("src/wire/a.rs", &"\n".repeat(LINES + 1)).len(), 1);
    assert_eq!(offenses("src/wire/utils.rs", "").len(), 1);
}
