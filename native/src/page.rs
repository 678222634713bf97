//! Nodes and pages of the state tree, as `node/ledger/pages.py` defines them.

use crate::sha::{Hash, leaf_hash, node_hash};

pub const SLOTS: usize = 16;
const EMPTY: Hash = [0; 32];

#[derive(Clone, Copy, PartialEq)]
pub enum Node {
    Nothing,
    Subtree(Hash),
    Key { path: Hash, value: Hash }, // exactly one key: its place and the hash of its value
}

pub type Slots = [Node; SLOTS];

impl Node {
    pub fn hash(&self) -> Hash {
        match self {
            Node::Nothing => EMPTY,
            Node::Subtree(hash) => *hash,
            Node::Key { path, value } => leaf_hash(&[*path, *value].concat()),
        }
    }

    /// Return the node as a page holds it.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Node::Nothing => Vec::new(),
            Node::Subtree(hash) => hash.to_vec(),
            Node::Key { path, value } => [*path, *value].concat(),
        }
    }
}

/// Return the node above two: a single key rises unhashed, anything else is hashed.
fn join(left: &Node, right: &Node) -> Node {
    match (left, right) {
        (Node::Nothing, Node::Nothing) => Node::Nothing,
        (key @ Node::Key { .. }, Node::Nothing) | (Node::Nothing, key @ Node::Key { .. }) => *key,
        _ => Node::Subtree(node_hash(&left.hash(), &right.hash())),
    }
}

/// Return the node that stands for a page: its four levels folded into one.
pub fn fold(slots: &Slots) -> Node {
    let mut level = *slots;
    let mut width = SLOTS;
    while width > 1 {
        width /= 2;
        for at in 0..width {
            level[at] = join(&level[2 * at], &level[2 * at + 1]);
        }
    }
    level[0]
}

/// Return the slot of `path` within a page at `depth` nibbles.
pub fn slot_of(path: &Hash, depth: usize) -> usize {
    let byte = path[depth / 2];
    usize::from(if depth % 2 == 1 { byte & 15 } else { byte >> 4 })
}

/// Return the name of the page that covers `path` below its first `depth` nibbles.
pub fn page_key(path: &Hash, depth: usize) -> Vec<u8> {
    let mut name = vec![depth as u8];
    name.extend_from_slice(&path[..depth / 2]);
    if depth % 2 == 1 {
        name.push(path[depth / 2] & 0xf0);
    }
    name
}

/// Return be16 slots taken, be16 slots that are one key, the slots, be32 CRC-32.
pub fn encode(slots: &Slots) -> Vec<u8> {
    let (mut taken, mut single) = (0u16, 0u16);
    let mut raw = vec![0; 4];
    for (index, node) in slots.iter().enumerate() {
        match node {
            Node::Nothing => continue,
            Node::Subtree(hash) => raw.extend_from_slice(hash),
            Node::Key { path, value } => {
                single |= 1 << index;
                raw.extend_from_slice(path);
                raw.extend_from_slice(value);
            }
        }
        taken |= 1 << index;
    }
    raw[..2].copy_from_slice(&taken.to_be_bytes());
    raw[2..4].copy_from_slice(&single.to_be_bytes());
    let checksum = crc32fast::hash(&raw);
    raw.extend_from_slice(&checksum.to_be_bytes());
    raw
}

/// Return the slots of the page at `depth` on the way to `path`, or which rule it breaks.
pub fn decode(raw: &[u8], path: &Hash, depth: usize) -> Result<Slots, String> {
    let bitmap = |at: usize| match raw.get(at..at + 2) {
        Some(bytes) => u16::from_be_bytes([bytes[0], bytes[1]]),
        None => u16::from(raw.get(at).copied().unwrap_or(0)), // too short for the next check
    };
    let (taken, single) = (bitmap(0), bitmap(2));
    let size = 8 + 32 * (taken.count_ones() + single.count_ones()) as usize;
    if raw.len() != size || single & !taken != 0 || taken == 0 {
        return Err(format!("page at depth {depth}: {} bytes, shape says {size}", raw.len()));
    }
    let (body, checksum) = raw.split_at(size - 4);
    if crc32fast::hash(body).to_be_bytes() != checksum {
        return Err(format!("page at depth {depth}: checksum differs"));
    }
    if depth > 0 && single == taken && taken.count_ones() == 1 {
        return Err(format!("page at depth {depth} holds a single key"));
    }
    let mut slots = [Node::Nothing; SLOTS];
    let mut rest = body[4..].as_chunks::<32>().0.iter().copied();
    for (index, node) in slots.iter_mut().enumerate() {
        if taken >> index & 1 == 0 {
            continue;
        }
        let first = rest.next().expect("the size was checked");
        if single >> index & 1 == 0 {
            *node = Node::Subtree(first);
            continue;
        }
        let value = rest.next().expect("the size was checked");
        if !belongs(&first, path, depth, index) {
            return Err(format!("page at depth {depth} holds a key of another page"));
        }
        *node = Node::Key { path: first, value };
    }
    Ok(slots)
}

/// Return whether the key at `found` has its place in slot `index` of the page of `path`.
fn belongs(found: &Hash, path: &Hash, depth: usize, index: usize) -> bool {
    let whole = depth / 2;
    found[..whole] == path[..whole]
        && (depth.is_multiple_of(2) || found[whole] >> 4 == path[whole] >> 4)
        && slot_of(found, depth) == index
}
