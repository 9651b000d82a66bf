//! Messages of the page: no input panics or holds much memory, and every message that the page can write is read exactly.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use oaktap_fuzz::memory;
use serde_json::json;

// The file alone: the feature that has it needs most of the dependencies.
#[path = "../../../src/serve/page_message.rs"]
mod page_message;

use page_message::{PageMessage, PlaybackChange};

#[derive(Arbitrary, Debug)]
enum Written<'a> {
    Watch(Vec<(&'a str, u32, bool)>),
    Drawn(Option<&'a str>),
    Play(Option<(&'a str, Option<&'a str>, u32)>),
    SeekMs(i64),
    Pause(bool),
}

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        let (message, held) = memory::peak(|| serde_json::from_str::<PageMessage>(text).ok());
        assert!(held <= 64 * text.len() + (16 << 10), "{held} bytes were held for a message of {}", text.len());
        if let Some(PageMessage::Watch(list)) = message {
            assert!(list.len() <= text.len() / 2);
        }
    }
    let Ok(written) = Written::arbitrary(&mut Unstructured::new(input)) else { return };
    let text = match &written {
        Written::Watch(list) => {
            let list: Vec<_> = list
                .iter()
                .map(|(camera, width, video)| json!({ "camera": camera, "width": width, "video": video }))
                .collect();
            json!({ "watch": list })
        }
        Written::Drawn(camera) => json!({ "drawn": camera }),
        Written::Play(None) => json!({ "play": null }),
        Written::Play(Some((recording, camera, width))) => {
            json!({ "play": { "recording": recording, "camera": camera, "width": width } })
        }
        Written::SeekMs(ms) => json!({ "playback": { "seek_ms": ms } }),
        Written::Pause(paused) => json!({ "playback": { "pause": paused } }),
    };
    match (serde_json::from_str(&text.to_string()), written) {
        (Ok(PageMessage::Watch(read)), Written::Watch(list)) => {
            let read: Vec<_> = read.iter().map(|watch| (watch.camera.as_str(), watch.width, watch.video)).collect();
            assert_eq!(read, list);
        }
        (Ok(PageMessage::Drawn(read)), Written::Drawn(camera)) => assert_eq!(read.as_deref(), camera),
        (Ok(PageMessage::Play(read)), Written::Play(play)) => {
            let read = read.as_ref().map(|play| (play.recording.as_str(), play.camera.as_deref(), play.width));
            assert_eq!(read, play);
        }
        (Ok(PageMessage::Playback(PlaybackChange::SeekMs(read))), Written::SeekMs(ms)) => assert_eq!(read, ms),
        (Ok(PageMessage::Playback(PlaybackChange::Pause(read))), Written::Pause(paused)) => assert_eq!(read, paused),
        (read, written) => panic!("{written:?} was read as {read:?}"),
    }
});
