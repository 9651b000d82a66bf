//! The walls inside the crate that the compiler does not hold: what no file of a folder may say.

use std::{fs, path::Path};

/// Where time is an argument and bytes are slices.
const PURE: &[&str] = &[
    "src/wire/",
    "src/frame/",
    "src/convert/",
    "src/overlay/",
    "src/hub/",
    "src/stats.rs",
    "src/sim/faults",
    "src/xlink/",
    "src/bootloader/",
    "src/flash/",
    "src/device/",
    "src/discovery/",
    "src/doctor/",
];
const PROGRAM: &[&str] = &["src/cli/", "src/main.rs"];
const ALL: &[&str] = &["src/"];

/// In files below `places` but not below `except`, code does not say `word`.
struct Wall {
    word: &'static str,
    places: &'static [&'static str],
    except: &'static [&'static str],
}

const WALLS: &[Wall] = &[
    // Addresses are values, so `std::net` may be named for them; sockets may not.
    Wall { word: "crate::net", places: PURE, except: &[] },
    Wall { word: "net::*", places: PURE, except: &[] },
    Wall { word: "UdpSocket", places: PURE, except: &[] },
    Wall { word: "TcpStream", places: PURE, except: &[] },
    Wall { word: "TcpListener", places: PURE, except: &[] },
    Wall { word: "ToSocketAddrs", places: PURE, except: &[] },
    Wall { word: "fs::", places: PURE, except: &[] },
    Wall { word: "std::fs", places: PURE, except: &[] },
    Wall { word: "Instant::now", places: PURE, except: &[] },
    Wall { word: "SystemTime::now", places: PURE, except: &[] },
    Wall { word: "thread::", places: PURE, except: &[] },
    Wall { word: "tokio", places: PURE, except: &[] },
    Wall { word: "println!", places: ALL, except: PROGRAM },
    Wall { word: "eprintln!", places: ALL, except: PROGRAM },
    Wall { word: "anyhow", places: ALL, except: PROGRAM },
    Wall { word: "unsafe", places: ALL, except: &["src/convert/dispatch.rs", "src/net/low_water.rs"] },
    Wall { word: "rusttype", places: ALL, except: &["src/overlay/font.rs"] },
    Wall { word: "minifb", places: ALL, except: &["src/sink/window"] },
];

/// The budget is about 400 lines without the tests; this is where it is certainly spent.
const LINES: usize = 500;
/// Past that a file argues for itself, here.
const LONG: &[(&str, usize)] = &[
    // One machine: its states share every field, and the books are kept wherever a byte changes hands.
    ("src/wire/decoder.rs", 670),
    // One turn of the faked camera and each way of damaging it, with the truth beside every byte.
    ("src/sim/stream.rs", 550),
];
/// Says nothing about what is inside.
const NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "types", "manager", "misc"];

/// What stands before the tests, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let untested = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let code = |line| str::split(line, " //").next().filter(|line| !line.trim_start().starts_with("//"));
    (1..).zip(untested.lines()).map(move |(number, line)| (number, code(line).unwrap_or("")))
}

fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

fn offences(path: &str, text: &str) -> Vec<String> {
    let below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    let walls: Vec<_> = WALLS.iter().filter(|wall| below(wall.places) && !below(wall.except)).collect();
    let mut found = Vec::new();
    for (number, line) in code(text) {
        let broken = walls.iter().filter(|wall| says(line, wall.word));
        found.extend(broken.map(|wall| format!("{path}:{number}: says `{}`", wall.word)));
    }
    let lines = code(text).count();
    let most = LONG.iter().find(|(long, _)| *long == path).map_or(LINES, |(_, most)| *most);
    if lines > most {
        found.push(format!("{path}: {lines} lines without its tests, more than {most}"));
    }
    let named = path.trim_end_matches(".rs").split('/').filter(|part| NAMES.contains(part));
    found.extend(named.map(|part| format!("{path}: `{part}` names nothing of the field")));
    found
}

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

#[test]
fn no_file_breaks_a_wall() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut found) = (0, Vec::new());
    visit(&root.join("src"), &mut |path| {
        let name = path.strip_prefix(root).expect("it is below the root").to_string_lossy().replace('\\', "/");
        found.extend(offences(&name, &fs::read_to_string(path).expect("source is UTF-8")));
        files += 1;
    });
    assert!(files > 10, "only {files} files were looked at");
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_wall_stops_what_it_is_for() {
    for wall in WALLS {
        for place in wall.places {
            let path = if place.ends_with(".rs") { (*place).into() } else { format!("{place}made_up.rs") };
            let text = format!("fn ok() {{}}\nfn bad() {{ {} }}\n", wall.word);
            assert!(offences(&path, &text)[0].starts_with(&format!("{path}:2: says `")), "{path}: {}", wall.word);
            let harmless =
                format!("//! {0}\nlet a = 1; // {0}\nlet not_{0};\n#[cfg(test)]\nmod tests {{ {0} }}", wall.word);
            assert_eq!(offences(&path, &harmless), [""; 0]);
        }
        for path in wall.except {
            assert!(!offences(path, wall.word).iter().any(|line| line.contains(&format!("`{}`", wall.word))), "{path}");
        }
    }
    assert_eq!(offences("src/a.rs", &"\n".repeat(LINES + 1)).len(), 1);
    assert_eq!(offences("src/wire/utils.rs", "").len(), 1);
}
