//! What an application consists of, out of the sections of its package (bootloader.md 5.2).
//!
//! Members of structures are told by their place alone, so a structure of another length is another version's, and is
//! refused rather than misread. What is written here is what the vendor's library writes, but for the order of nodes, links
//! and ports: that of its hash tables means nothing to a camera.

mod error;
mod fields;
mod write;

use std::collections::BTreeMap;

pub use error::SchemaError;
use fields::Fields;
pub use write::store;

use super::nop::Value;

/// Which way a port carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Into the node.
    In,
    /// Out of the node.
    Out,
    /// Another kind, by its number.
    Other(i64),
}

/// A place at a node where links end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Port {
    /// The group that it belongs to; empty if none. Ports of a Script are in the group `io`.
    pub group: String,
    /// Its name in that group.
    pub name: String,
    /// Which way.
    pub direction: Direction,
    /// Whether a sender waits when the queue is full. Otherwise the oldest message goes.
    pub blocking: bool,
    /// Messages that may wait.
    pub queue_size: i64,
    /// Whether the node waits for a message before it works.
    pub wait_for_message: bool,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<'a> {
    /// Its number.
    pub id: i64,
    /// What kind it is: `ColorCamera`, `Script`.
    pub name: String,
    /// How it is set: a structure without names, different for each kind and version.
    pub properties: Value<'a>,
    /// Its ports.
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

/// A link: where messages come from and where they go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Link {
    /// Where from.
    pub from: End,
    /// Where to.
    pub to: End,
}

/// Nodes and links, both in the order of their numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline<'a> {
    /// The nodes.
    pub nodes: Vec<Node<'a>>,
    /// The links.
    pub links: Vec<Link>,
    /// What concerns the whole application: clocks, buffers, calibration.
    pub global: Value<'a>,
}

/// A file that a node uses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Asset {
    /// Its name: `/node/1/__script`.
    pub key: String,
    /// Where it begins in the storage.
    pub offset: u64,
    /// Its bytes.
    pub size: u64,
}

impl Asset {
    /// Its bytes, if the storage has all of them.
    #[must_use]
    pub fn stored_in<'a>(&self, storage: &'a [u8]) -> Option<&'a [u8]> {
        let start = usize::try_from(self.offset).ok()?;
        storage.get(start..start.checked_add(usize::try_from(self.size).ok()?)?)
    }
}

/// What a Script node runs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Script {
    /// Number of the node.
    pub node: i64,
    /// What it is called in the camera's messages; often empty.
    pub name: String,
    /// The processor that runs it: 0 is `LEON_CSS`, 1 is `LEON_MSS`.
    pub processor: i64,
    /// The asset with its text, if it is one: `/node/1/__script`.
    pub asset: Option<String>,
}

impl<'a> Pipeline<'a> {
    /// Reads the section `pipeline`.
    ///
    /// # Errors
    /// It cannot be read, or it is laid out in another way than that of the versions that are known (2.29 to 2.33).
    pub fn parse(section: &'a [u8]) -> Result<Self, SchemaError> {
        let schema = Value::parse(section).map_err(SchemaError::Nop)?;
        let [connections, global, nodes] = Fields::of("the pipeline", schema)?.exactly()?;
        let mut links: Vec<_> = connections.array()?.map(link).collect::<Result<_, _>>()?;
        links.sort();
        let mut nodes: Vec<_> = nodes.map()?.map(|(_, value)| node(value)).collect::<Result<_, _>>()?;
        nodes.sort_by_key(|node| node.id);
        Ok(Self { nodes, links, global: global.value })
    }

    /// The Script nodes.
    ///
    /// # Errors
    /// One of them is set in a way that is not known.
    pub fn scripts(&self) -> Result<Vec<Script>, SchemaError> {
        self.nodes.iter().filter(|node| node.name == "Script").map(script).collect()
    }

    /// The names of the nodes by their numbers.
    #[must_use]
    pub fn names(&self) -> BTreeMap<i64, &str> {
        self.nodes.iter().map(|node| (node.id, node.name.as_str())).collect()
    }
}

/// Reads the section `assets`.
///
/// # Errors
/// It cannot be read, or it is laid out in another way than that of the versions that are known (2.29 to 2.33).
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
