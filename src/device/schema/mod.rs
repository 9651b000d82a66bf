//! Reads and writes the sections `pipeline`, `assets` and `asset_storage` of a package (bootloader.md 5.2).
//!
//! Structures have no member names, so a structure of another length belongs to another version of depthai and is rejected.
//! Writing gives the bytes of the vendor's library, except for the order of nodes, links and ports, which is that of its
//! hash tables and does not matter to a camera.

mod error;
mod fields;
mod write;

use std::collections::BTreeMap;

pub use error::SchemaError;
use fields::Fields;
pub use write::store;

use super::nop::Value;

/// Direction of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into the node.
    In,
    /// Out of the node.
    Out,
    /// Another kind, with its number.
    Other(i64),
}

/// An input or output of a node.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Port {
    /// Empty if none. Ports of a Script are in the group `io`.
    pub group: String,
    /// Name in the group.
    pub name: String,
    /// Input or output.
    pub direction: Direction,
    /// When the queue is full, `true`: the sender waits; `false`: the oldest message is dropped.
    pub blocking: bool,
    /// Messages that the queue holds.
    pub queue_size: i64,
    /// `true` if the node waits for a message at this port before it runs.
    pub wait_for_message: bool,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<'a> {
    /// Number, unique in the pipeline.
    pub id: i64,
    /// Kind: `ColorCamera`, `Script`.
    pub name: String,
    /// A structure without member names, different for each kind and version.
    pub properties: Value<'a>,
    /// Inputs and outputs.
    pub ports: Vec<Port>,
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct End {
    /// Number of the node.
    pub node: i64,
    /// Group of the port; empty if none.
    pub group: String,
    /// Name of the port.
    pub port: String,
}

/// A link from an output to an input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Link {
    /// Output.
    pub from: End,
    /// Input.
    pub to: End,
}

/// Nodes and links, both sorted.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline<'a> {
    /// The nodes.
    pub nodes: Vec<Node<'a>>,
    /// The links.
    pub links: Vec<Link>,
    /// Global properties: clocks, buffers, calibration.
    pub global: Value<'a>,
}

/// A file that a node uses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Asset {
    /// Such as `/node/1/__script`.
    pub key: String,
    /// Bytes from the beginning of the storage.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Asset {
    /// Returns the content, or `None` if it does not fit into the storage.
    #[must_use]
    pub fn stored_in<'a>(&self, storage: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.offset).ok()?;
        storage.get(start..start.checked_add(usize::try_from(self.size).ok()?)?)
    }
}

/// The settings of a Script node.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Script {
    /// Number of the node.
    pub node: i64,
    /// Name in the camera's log messages; often empty.
    pub name: String,
    /// The processor that runs it: 0 is `LEON_CSS`, 1 is `LEON_MSS`.
    pub processor: i64,
    /// Key of the asset with the program: `/node/1/__script`.
    pub asset: Option<String>,
}

impl<'a> Pipeline<'a> {
    /// Parses the section `pipeline`.
    ///
    /// # Errors
    /// The section is damaged, or was not written by depthai 2.29 to 2.33.
    pub fn parse(section: &'a [u8]) -> Result<Self, SchemaError> {
        let schema = Value::parse(section).map_err(SchemaError::Nop)?;
        let [connections, global, nodes] = Fields::of("the pipeline", schema)?.exactly()?;
        let mut links: Vec<_> = connections.array()?.map(link).collect::<Result<_, _>>()?;
        links.sort();
        let mut nodes: Vec<_> = nodes.map()?.map(|(_, value)| node(value)).collect::<Result<_, _>>()?;
        nodes.sort_by_key(|node| node.id);
        Ok(Self { nodes, links, global: global.value })
    }

    /// Returns the settings of all Script nodes.
    ///
    /// # Errors
    /// The properties of one were not written by depthai 2.29 to 2.33.
    pub fn scripts(&self) -> Result<Vec<Script>, SchemaError> {
        self.nodes.iter().filter(|node| node.name == "Script").map(script).collect()
    }

    /// Returns the kinds of the nodes by number.
    #[must_use]
    pub fn names(&self) -> BTreeMap<i64, &str> {
        self.nodes.iter().map(|node| (node.id, node.name.as_str())).collect()
    }
}

/// Parses the section `assets`.
///
/// # Errors
/// The section is damaged, or was not written by depthai 2.29 to 2.33.
pub fn assets(section: &[u8]) -> Result<Vec<Asset>, SchemaError> {
    let [map] = Fields::of("the assets", Value::parse(section).map_err(SchemaError::Nop)?)?.exactly()?;
    let asset = |(key, place): (fields::Field<'_>, fields::Field<'_>)| {
        let key = key.text()?;
        let [offset, size, _alignment] = Fields::of(format!("asset `{key}`"), place.value)?.exactly()?;
        Ok(Asset { key, offset: offset.natural()?, size: size.natural()? })
    };
    let mut assets: Vec<_> = map.map()?.map(asset).collect::<Result<_, _>>()?;
    assets.sort_by(|a: &Asset, b| (a.offset, &a.key).cmp(&(b.offset, &b.key)));
    Ok(assets)
}

fn link(value: fields::Field<'_>) -> Result<Link, SchemaError> {
    let [from, from_group, output, to, to_group, input] = Fields::of("a link", value.value)?.exactly()?;
    Ok(Link {
        from: End { node: from.integer()?, group: from_group.text()?, port: output.text()? },
        to: End { node: to.integer()?, group: to_group.text()?, port: input.text()? },
    })
}

fn node(value: fields::Field<'_>) -> Result<Node<'_>, SchemaError> {
    let [id, name, properties, ports] = Fields::of("a node", value.value)?.exactly()?;
    let (id, name) = (id.integer()?, name.text()?);
    let properties = Value::parse(properties.bytes()?).map_err(|source| SchemaError::Properties {
        node: id,
        name: name.clone(),
        source,
    })?;
    let ports = ports.map()?.map(|(_, value)| port(id, value)).collect::<Result<_, _>>()?;
    Ok(Node { id, name, properties, ports })
}

fn port(node: i64, value: fields::Field<'_>) -> Result<Port, SchemaError> {
    let fields = Fields::of(format!("a port of node {node}"), value.value)?;
    let [group, name, kind, blocking, queue_size, wait_for_message, _id] = fields.exactly()?;
    Ok(Port {
        group: group.text()?,
        name: name.text()?,
        direction: match kind.integer()? {
            0 => Direction::Out,
            3 => Direction::In,
            other => Direction::Other(other),
        },
        blocking: blocking.boolean()?,
        queue_size: queue_size.integer()?,
        wait_for_message: wait_for_message.boolean()?,
    })
}

fn script(node: &Node<'_>) -> Result<Script, SchemaError> {
    let fields = Fields::of(format!("Script {}", node.id), node.properties.clone())?;
    let [uri, name, processor] = fields.exactly()?;
    let uri = uri.text()?;
    Ok(Script {
        node: node.id,
        name: name.text()?,
        processor: processor.integer()?,
        asset: uri.strip_prefix("asset:").map(|asset| format!("/node/{}/{asset}", node.id)),
    })
}

#[cfg(test)]
mod tests;
