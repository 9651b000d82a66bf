//! Tests with sections that depthai 2.30 wrote for a camera, a Script and an encoder.

use super::*;
use crate::device::nop::NopError;
use crate::error::EncodingError;

/// The section `pipeline`.
const PIPELINE: &str = "\
    b903ba03b90600bd00bd05766964656f02bd00bd02696eb90602bd00bd0962697473747265616d01bd02696fbd046a706567b90600bd\
    00bd077072657669657701bd02696fbd02696eb90a890000008093dcc441890000008093dcc441bebebebd00beff810048810040bb03\
    00b90400bd0b436f6c6f7243616d657261bc70b91ab92000030088000000000000b903000000b9050000000000b90500000000000000\
    00000000000000b903000000b9030000000000000000000000000000ba00ffbd00ff000000816001818002ffffffff00880000f04100\
    88000080bf88000080bf01b904000000000303040404bebb08ba02bd00bd05766964656fb907bd00bd05766964656f000008000dba02\
    bd00bd057374696c6cb907bd00bd057374696c6c000008000bba02bd00bd03697370b907bd00bd03697370000008000aba02bd00bd07\
    70726576696577b907bd00bd0770726576696577000008000cba02bd00bd03726177b907bd00bd037261770000080009ba02bd00bd0a\
    6672616d654576656e74b907bd00bd0a6672616d654576656e740000080008ba02bd00bd0b696e707574436f6e666967b907bd00bd0b\
    696e707574436f6e6669670300080007ba02bd00bd0c696e707574436f6e74726f6cb907bd00bd0c696e707574436f6e74726f6c0301\
    08000601b90401bd06536372697074bc1db903bd0e61737365743a5f5f736372697074bd083c7363726970743e01bb02ba02bd02696f\
    bd02696eb907bd02696fbd02696e0301080005ba02bd02696fbd046a706567b907bd02696fbd046a706567030108000402b90402bd0c\
    566964656f456e636f646572bc11b90b001e00000000045f0000880000f041bb03ba02bd00bd036f7574b907bd00bd036f7574000008\
    0002ba02bd00bd0962697473747265616db907bd00bd0962697473747265616d0000080003ba02bd00bd02696eb907bd00bd02696e03\
    01040101";

/// The section `assets`.
const ASSETS: &str = "b901bb01bd102f6e6f64652f312f5f5f736372697074b903004640";

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
    hex.as_bytes().as_chunks::<2>().0.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}

fn end(node: i64, group: &str, port: &str) -> End {
    End { node, group: group.to_owned(), port: port.to_owned() }
}

#[test]
fn nodes_links_and_files_are_parsed() {
    let section = bytes(PIPELINE);
    let pipeline = Pipeline::parse(&section).unwrap();
    let names: Vec<_> = pipeline.names().into_iter().collect();
    assert_eq!(names, [(0, "ColorCamera"), (1, "Script"), (2, "VideoEncoder")]);
    assert_eq!(
        pipeline.links,
        [
            Link { from: end(0, "", "preview"), to: end(1, "io", "in") },
            Link { from: end(0, "", "video"), to: end(2, "", "in") },
            Link { from: end(2, "", "bitstream"), to: end(1, "io", "jpeg") },
        ]
    );
    let ports: Vec<_> = pipeline.nodes.iter().map(|node| node.ports.len()).collect();
    assert_eq!(ports, [8, 2, 3]);
    let input = Port {
        group: String::new(),
        name: "in".to_owned(),
        direction: Direction::In,
        blocking: true,
        queue_size: 4,
        wait_for_message: true,
    };
    assert!(pipeline.nodes[2].ports.contains(&input), "{:?}", pipeline.nodes[2].ports);
    assert_eq!(pipeline.nodes[2].properties.to_json().to_string(), "[0,30,0,0,0,0,4,95,0,0,30.0]");
    let asset = Some("/node/1/__script".to_owned());
    assert_eq!(pipeline.scripts(), Ok(vec![Script { node: 1, name: "<script>".to_owned(), processor: 1, asset }]));
    let asset = Asset { key: "/node/1/__script".to_owned(), offset: 0, size: 70 };
    assert_eq!(assets(&bytes(ASSETS)), Ok(vec![asset.clone()]));
    assert_eq!(asset.stored_in(&[7; 71]), Some([7; 70].as_slice()));
    assert_eq!(asset.stored_in(&[7; 69]), None);
    assert_eq!(Asset { offset: u64::MAX, ..asset }.stored_in(&[7; 71]), None);
}

#[test]
fn written_sections_are_read_back() {
    let section = bytes(PIPELINE);
    let pipeline = Pipeline::parse(&section).unwrap();
    let written = pipeline.section();
    assert_eq!(Pipeline::parse(&written).as_ref(), Ok(&pipeline));
    // The same bytes in another order.
    let sorted = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.sort_unstable();
        bytes
    };
    assert_eq!(sorted(&written), sorted(&section));
    assert_eq!(Pipeline::usual().global, pipeline.global);
    let (assets, storage) = store(&[("/node/1/__script".to_owned(), &[7; 70])]);
    assert_eq!((assets, storage), (bytes(ASSETS), vec![7; 70]));
    let (section, storage) =
        store(&[("/node/2/__script".to_owned(), &[7; 70]), ("/node/1/__blob".to_owned(), &[8; 3])]);
    assert_eq!(storage, [&[7; 70][..], &[0; 58], &[8; 3]].concat());
    let found: Vec<_> =
        super::assets(&section).unwrap().into_iter().map(|asset| (asset.key, asset.offset, asset.size)).collect();
    assert_eq!(found, [("/node/2/__script".to_owned(), 0, 70), ("/node/1/__blob".to_owned(), 128, 3)]);
    assert!(
        section.windows(6).position(|name| name == b"__blob") < section.windows(8).position(|name| name == b"__script")
    );
}

#[test]
fn other_versions_are_rejected() {
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut section = bytes(PIPELINE);
        change(&mut section);
        Pipeline::parse(&section).unwrap_err().to_string()
    };
    let other = "unsupported version of depthai";
    assert_eq!(
        error(&|section| {
            section[1] = 4;
            section.push(0xbe);
        }),
        format!("the pipeline has 4 members, expected 3: {other}")
    );
    // The first link's first member, and the pipeline's own.
    assert_eq!(
        error(&|section| section[6] = 0xbe),
        format!("a link has nothing as member 1, expected a number: {other}")
    );
    assert_eq!(
        error(&|section| section[0] = 0xba),
        format!("the pipeline has an array as member 0, expected a structure: {other}")
    );
    let json = Pipeline::parse(b"{\"connections\":[]}").unwrap_err();
    assert_eq!(json, SchemaError::Nop(EncodingError::Trailing { at: 1, extra: 17 }.into()));
    let cut = |len: usize| Pipeline::parse(&bytes(PIPELINE)[..len]).map(|_| ()).unwrap_err();
    for len in 0..bytes(PIPELINE).len() {
        assert!(matches!(cut(len), SchemaError::Nop(NopError::Encoding(_))), "{len}: {:?}", cut(len));
    }
    assert!(matches!(assets(&bytes(PIPELINE)), Err(SchemaError::Members { expected: 1, found: 3, .. })));
}

#[test]
fn changed_bytes_do_not_panic() {
    let section = bytes(PIPELINE);
    for at in 0..section.len() {
        for value in [0, 0x7f, 0x80, 0x83, 0x87, 0x89, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xff] {
            let mut section = section.clone();
            section[at] = value;
            if let Ok(pipeline) = Pipeline::parse(&section) {
                let _ = pipeline.scripts();
                assert!(pipeline.nodes.len() <= section.len());
            }
        }
    }
}
