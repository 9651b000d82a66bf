//! Writes the sections of a pipeline.

use super::{Direction, End, Link, Node, Pipeline, Port};
use crate::device::nop::Value;

/// Files in the storage begin at multiples of this (bootloader.md 5.2).
const ALIGNMENT: usize = 64;

impl Pipeline<'static> {
    /// An empty pipeline with the vendor's default global properties: processors at 700 MHz, the camera's own calibration,
    /// no limit for packets.
    #[must_use]
    pub fn usual() -> Self {
        let global = Value::Structure(vec![
            7e8.into(),             // leonCssFrequencyHz
            7e8.into(),             // leonMssFrequencyHz
            None::<&str>.into(),    // pipelineName
            None::<&str>.into(),    // pipelineVersion
            None::<u32>.into(),     // cameraTuningBlobSize
            "".into(),              // cameraTuningBlobUri
            None::<bool>.into(),    // calibData
            (-1_i32).into(),        // xlinkChunkSize
            (18 * 1024_u32).into(), // sippBufferSize
            (16 * 1024_u32).into(), // sippDmaBufferSize
        ]);
        Self { nodes: Vec::new(), links: Vec::new(), global }
    }
}

impl Pipeline<'_> {
    /// Writes the section `pipeline`.
    #[must_use]
    pub fn section(&self) -> Vec<u8> {
        // Values borrow their bytes, and a node contains its encoded properties.
        let properties: Vec<_> = self.nodes.iter().map(|node| node.properties.to_bytes()).collect();
        let mut ids = 1..;
        let nodes = self.nodes.iter().zip(&properties);
        let nodes = nodes.map(|(node, properties)| (node.id.into(), self::node(node, properties, &mut ids))).collect();
        let links = self.links.iter().map(link).collect();
        Value::Structure(vec![Value::Array(links), self.global.clone(), Value::Map(nodes)]).to_bytes()
    }
}

fn link(Link { from, to }: &Link) -> Value<'_> {
    Value::Structure([end(from), end(to)].concat())
}

fn end(End { node, group, port }: &End) -> [Value<'_>; 3] {
    [(*node).into(), group.as_str().into(), port.as_str().into()]
}

/// `ids` numbers the ports, which are unique in the pipeline.
fn node<'a>(node: &'a Node<'_>, properties: &'a [u8], ids: &mut impl Iterator<Item = u32>) -> Value<'a> {
    let ports = node.ports.iter().zip(ids);
    let ports = ports.map(|(port, id)| {
        let key = Value::Array(vec![port.group.as_str().into(), port.name.as_str().into()]);
        (key, self::port(port, id))
    });
    let ports = Value::Map(ports.collect());
    Value::Structure(vec![node.id.into(), node.name.as_str().into(), Value::Binary(properties), ports])
}

fn port(port: &Port, id: u32) -> Value<'_> {
    let kind = match port.direction {
        Direction::Out => 0,
        Direction::In => 3,
        Direction::Other(kind) => kind,
    };
    Value::Structure(vec![
        port.group.as_str().into(),
        port.name.as_str().into(),
        kind.into(),
        port.blocking.into(),
        port.queue_size.into(),
        port.wait_for_message.into(),
        id.into(),
    ])
}

/// Writes the sections `assets` and `asset_storage` for files with these keys. The first file is stored first and listed
/// last, like the vendor's library does with up to two files.
#[must_use]
pub fn store(files: &[(String, &[u8])]) -> (Vec<u8>, Vec<u8>) {
    let mut storage = Vec::new();
    let mut places = Vec::new();
    for (key, bytes) in files {
        storage.resize(storage.len().next_multiple_of(ALIGNMENT), 0);
        let place = [storage.len() as u64, bytes.len() as u64, ALIGNMENT as u64];
        places.push((key.as_str().into(), Value::Structure(place.map(Value::from).to_vec())));
        storage.extend_from_slice(bytes);
    }
    places.reverse();
    (Value::Structure(vec![Value::Map(places)]).to_bytes(), storage)
}
