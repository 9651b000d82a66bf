//! libnop values and pipelines, and models: any bytes are parsed or give an error at a valid position, in bounded memory.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use oaktap::device::blob::Blob;
use oaktap::device::nop::{NopError, Value};
use oaktap::device::schema::{Pipeline, SchemaError, assets};
use oaktap::error::EncodingError;
use oaktap_fuzz::memory;

/// An application with arbitrary nodes.
#[derive(Arbitrary, Debug)]
struct Made {
    links: Vec<(u8, u8, bool)>,
    nodes: Vec<(u8, Option<Vec<u8>>, Vec<(u8, bool)>)>,
    change: Option<(u16, u8)>,
}

fn count(prefix: u8, count: usize, items: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let len = u16::try_from(count).expect("small").to_le_bytes();
    let mut bytes = vec![prefix, 0x81, len[0], len[1]];
    bytes.extend(items.into_iter().flatten());
    bytes
}

fn structure<const N: usize>(members: [Vec<u8>; N]) -> Vec<u8> {
    count(0xb9, N, members)
}

fn text(text: &str) -> Vec<u8> {
    count(0xbd, text.len(), [text.as_bytes().to_vec()])
}

impl Made {
    fn section(&self) -> Vec<u8> {
        let links = self.links.iter().take(99).map(|(from, to, group)| {
            let group = text(if *group { "io" } else { "" });
            structure([vec![0x80, *from], text(""), text("out"), vec![0x80, *to], group, text("in")])
        });
        let nodes = self.nodes.iter().take(99).map(|(id, script, ports)| {
            let ports = ports.iter().take(99).map(|(kind, blocking)| {
                let key = count(0xba, 2, [text(""), text("in")]);
                let port = [text(""), text("in"), vec![0x80, *kind], vec![u8::from(*blocking)]];
                let [group, name, kind, blocking] = port;
                [key, structure([group, name, kind, blocking, vec![8], vec![0], vec![1]])].concat()
            });
            let (kind, properties) = match script {
                Some(name) => {
                    ("Script", structure([text("asset:x"), count(0xbd, name.len(), [name.clone()]), vec![1]]))
                }
                None => ("ColorCamera", vec![0xbe]),
            };
            let properties = count(0xbc, properties.len(), [properties]);
            let ports = count(0xbb, ports.len(), ports);
            [vec![0x80, *id], structure([vec![0x80, *id], text(kind), properties, ports])].concat()
        });
        let links = count(0xba, links.len(), links);
        let nodes = count(0xbb, nodes.len(), nodes);
        structure([links, vec![0xbe], nodes])
    }
}

fn within(error: &NopError, len: usize) {
    let at = match error {
        NopError::Encoding(
            EncodingError::CutOff { at, .. } | EncodingError::TooDeep { at } | EncodingError::Trailing { at, .. },
        )
        | NopError::Type { at, .. }
        | NopError::Count { at, .. }
        | NopError::TooMany { at } => *at,
        other => panic!("{other:?}"),
    };
    assert!(at <= len, "{error:?} in {len} bytes");
}

fn check(section: &[u8]) {
    let bound = |held: usize, what: &str| {
        assert!(held <= 320 * section.len() + (4 << 10), "{held} bytes were held for {what} of {}", section.len());
    };
    let (value, held) = memory::peak(|| Value::parse(section));
    bound(held, "a value");
    match &value {
        Ok(value) => {
            assert!(serde_json::to_string(&value.to_json()).is_ok());
            // Written values round-trip. Compares bytes, because NaN does not equal itself.
            let written = value.to_bytes();
            assert_eq!(Value::parse(&written).map(|value| value.to_bytes()), Ok(written));
        }
        Err(error) => within(error, section.len()),
    }
    let (pipeline, held) = memory::peak(|| Pipeline::parse(section));
    bound(held, "a pipeline");
    match pipeline {
        Ok(pipeline) => {
            assert!(value.is_ok() && pipeline.nodes.len() + pipeline.links.len() <= section.len());
            assert!(pipeline.links.is_sorted() && pipeline.nodes.is_sorted_by_key(|node| node.id));
            let _ = (pipeline.scripts(), pipeline.names());
        }
        Err(SchemaError::Nop(error)) => assert_eq!(value.as_ref().err(), Some(&error)),
        Err(error) => assert!(value.is_ok(), "{error}"),
    }
    let (files, held) = memory::peak(|| assets(section));
    bound(held, "assets");
    for asset in files.unwrap_or_default() {
        if let Some(stored) = asset.stored_in(section) {
            assert_eq!(stored.len() as u64, asset.size);
        }
    }
}

/// Arbitrary model fields after a valid start.
fn check_model(said: &[u8]) {
    let file = [&[0; 52], 9709_u32.to_le_bytes().as_slice(), said].concat();
    let (blob, held) = memory::peak(|| Blob::parse(&file));
    assert!(held <= 64 * file.len() + (4 << 10), "{held} bytes were held for a model of {}", file.len());
    if let Ok(blob) = blob {
        assert!(blob.input_size().is_none_or(|size| size.pixels() > 0));
        assert!(40 * (blob.inputs.len() + blob.outputs.len()) <= file.len() * 2);
    }
}

fuzz_target!(|input: &[u8]| {
    check(input);
    check_model(input);
    let Ok(made) = Made::arbitrary(&mut Unstructured::new(input)) else { return };
    let mut section = made.section();
    if made.change.is_none() {
        let pipeline = Pipeline::parse(&section).expect("it was made here");
        assert_eq!(pipeline.nodes.len(), made.nodes.len().min(99));
        assert_eq!(pipeline.links.len(), made.links.len().min(99));
        assert!(pipeline.scripts().is_ok());
    }
    if let Some((at, with)) = made.change {
        let at = usize::from(at) % section.len();
        section[at] ^= with;
    }
    check(&section);
});
