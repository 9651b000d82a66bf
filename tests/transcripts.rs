//! What the vendor's client and a camera were heard to say, against what we say and understand.
//!
//! The transcripts lie beside the repository, not in it; without them the tests say so and pass.

use std::path::PathBuf;

use oaktap::bootloader::{Memory, Request, Response, Storage, map};
use oaktap::xlink::{HEADER, Header, Kind};

/// One direction of a transcript.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Host,
    Camera,
}

struct Transcript {
    name: String,
    text: String,
}

fn transcripts() -> Vec<Transcript> {
    let shared = std::env::var_os("OAKTAP_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    let folder = shared.join("captures/bootloader");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no transcripts at {}", folder.display());
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    let read = |path: &PathBuf| Transcript {
        name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
        text: std::fs::read_to_string(path).expect("readable"),
    };
    paths.iter().map(read).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex")).collect()
}

impl Transcript {
    /// The packets of the bootloader's stream that are there in full.
    fn packets(&self) -> Vec<(From, Vec<u8>)> {
        let mut packets = Vec::new();
        for line in self.text.lines() {
            let from = if line.contains(" H>D   payload(") { From::Host } else { From::Camera };
            let Some((_, rest)) = line.split_once("payload(") else { continue };
            let Some((len, rest)) = rest.split_once(") ") else { continue };
            if rest.contains("__watchdog") {
                continue;
            }
            let bytes = bytes(rest.split_whitespace().next_back().unwrap_or_default());
            if Ok(bytes.len()) == len.parse() {
                packets.push((from, bytes));
            }
        }
        packets
    }

    /// The requests of the host, without the data that follows some of them.
    fn requests(&self) -> Vec<(Request, Vec<u8>)> {
        let (mut requests, mut data) = (Vec::new(), 0_usize);
        for (from, bytes) in self.packets() {
            if from != From::Host {
                continue;
            }
            // Data is not looked at; all of it is there in full but for that of packages, which no request follows.
            if data > 0 {
                data = data.saturating_sub(bytes.len());
                continue;
            }
            let Ok(request) = Request::parse(&bytes) else { continue };
            data = match request {
                Request::WriteFlash { total, .. } | Request::SetConfig { total, .. } => total as usize,
                _ => 0,
            };
            requests.push((request, bytes));
        }
        requests
    }
}

/// Bytes of a request that mean something: the vendor leaves its padding as it happens to be (bootloader.md 3).
fn meant(request: &Request) -> usize {
    match request {
        Request::SetConfig { .. } => 28,
        Request::GetConfig { .. } => 20,
        Request::UpdateBootHeader { .. } => 36,
        other => other.to_bytes().len(),
    }
}

#[test]
fn every_request_is_said_as_the_vendor_says_it() {
    for transcript in transcripts() {
        for (request, theirs) in transcript.requests() {
            let (ours, meant) = (request.to_bytes(), meant(&request));
            assert_eq!(ours.len(), theirs.len(), "{}: {request:?}", transcript.name);
            assert_eq!(ours[..meant], theirs[..meant], "{}: {request:?}", transcript.name);
        }
    }
}

#[test]
fn every_answer_is_understood_and_said_alike() {
    let mut seen = 0;
    for transcript in transcripts() {
        for (from, theirs) in transcript.packets() {
            if from == From::Camera
                && let Ok(response) = Response::parse(&theirs)
            {
                assert!(response.to_bytes() == theirs, "{}: {response:?}", transcript.name);
                seen += 1;
            }
        }
    }
    assert!(seen == 0 || seen > 50, "{seen}");
}

#[test]
fn every_event_of_the_link_is_read_as_it_was_written() {
    for transcript in transcripts() {
        for line in transcript.text.lines() {
            let Some((_, hex)) = line.split_once(" hdr ") else { continue };
            let theirs: [u8; HEADER] = bytes(hex.trim()).try_into().expect("84 bytes");
            let header = Header::parse(&theirs).expect("an event");
            let ours = header.to_bytes();
            // The sender's clock, at 60 to 72, means nothing to anybody.
            assert_eq!((&ours[..60], &ours[72..]), (&theirs[..60], &theirs[72..]), "{}: {line}", transcript.name);
            if line.contains("CREATE_STREAM_REQ") {
                assert_eq!((header.kind, header.response), (Kind::Create, false));
            }
        }
    }
}

/// The order of the requests, operation by operation. The modules `bootloader` and `flash::carry_out` list our differences.
#[test]
fn the_vendors_operations_are_those_that_we_have() {
    let greeting = [Request::Version, Request::Commit, Request::Type];
    for transcript in transcripts() {
        let requests: Vec<Request> = transcript.requests().into_iter().map(|(request, _)| request).collect();
        if requests.is_empty() {
            continue;
        }
        assert_eq!(requests[..3], greeting, "{}", transcript.name);
        let has = |request: &Request| requests.contains(request);
        match transcript.name.as_str() {
            "11_flash_dap" => {
                let storage = Storage::Application;
                let write =
                    |request: &Request| matches!(request, Request::UpdateFlash { storage: of, .. } if *of == storage);
                assert!(requests.iter().any(write));
                assert!(has(&Request::GetConfig { memory: Memory::Auto, offset: -1, max: 0 }));
                let set =
                    |request: &Request| matches!(request, Request::SetConfig { memory: Memory::Auto, offset: -1, .. });
                assert!(requests.iter().any(set));
            }
            "13_flash_clear" => {
                let offset = map::APPLICATION;
                assert!(has(&Request::WriteFlash { memory: Memory::Auto, offset, total: 512, packets: 1 }));
            }
            _ => {}
        }
    }
}
