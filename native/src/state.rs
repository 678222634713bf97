//! The batch update of the state tree, as `node/ledger/pages.py` defines it.
//!
//! Pages are read level by level, because only the caller can read them; everything between two
//! levels and after the last needs no interpreter.

use crate::page::{Node, SLOTS, Slots, decode, encode, fold, page_key, slot_of};
use crate::patch;
use crate::sha::{Hash, sha256};

const NIBBLES: usize = 64;

/// A key's place and the hash of its new value; None deletes it.
#[derive(Clone, Copy)]
struct Change {
    path: Hash,
    value: Option<Hash>,
}

/// A stored page that changes go through.
struct Visit {
    depth: usize,
    start: usize, // its changes are changes[start..end]
    end: usize,
    raw: Option<Vec<u8>>, // None: there is no page yet, which only the root may say
    slots: Slots,
    below: [Option<usize>; SLOTS], // the visit of the page that a slot stands for
}

/// Name and new bytes of a page; None deletes it.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// Pages that changed, and what makes each out of what it was.
#[derive(Default)]
pub struct Writes {
    pub pages: Vec<Write>,
    pub patches: Vec<u8>,
}

pub struct Update {
    changes: Vec<Change>,
    visits: Vec<Visit>,
    waiting: usize, // visits from here on have no bytes yet
}

impl Update {
    /// Take keys with their new values, in any order, each key once.
    pub fn new<'a>(pairs: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Self {
        let mut changes: Vec<Change> = pairs
            .map(|(key, value)| Change { path: sha256(key), value: value.map(sha256) })
            .collect();
        changes.sort_unstable_by_key(|change| change.path);
        let end = changes.len();
        Update { changes, visits: vec![visit(0, 0, end)], waiting: 0 }
    }

    /// Return the names of the pages that have to be read next; none when all are there.
    pub fn wanted(&self) -> Vec<Vec<u8>> {
        let waiting = self.visits[self.waiting..].iter();
        waiting.map(|visit| page_key(&self.changes[visit.start].path, visit.depth)).collect()
    }

    /// Take the pages that `wanted` named, in its order; returns which rule one breaks.
    pub fn give(&mut self, pages: Vec<Option<Vec<u8>>>) -> Result<(), String> {
        let first = self.waiting;
        self.waiting = self.visits.len();
        for (number, raw) in pages.into_iter().enumerate() {
            let at = first + number;
            let (depth, start) = (self.visits[at].depth, self.visits[at].start);
            match raw {
                Some(raw) => {
                    self.visits[at].slots = decode(&raw, &self.changes[start].path, depth)?;
                    self.visits[at].raw = Some(raw);
                }
                None if depth > 0 => return Err(format!("page at depth {depth} is missing")),
                None => {}
            }
            self.descend(at);
        }
        Ok(())
    }

    /// Plan a visit for each stored page below that a change goes through.
    fn descend(&mut self, at: usize) {
        let (depth, start, end) =
            (self.visits[at].depth, self.visits[at].start, self.visits[at].end);
        for (slot, from, to) in groups(&self.changes, depth, start, end) {
            if matches!(self.visits[at].slots[slot], Node::Subtree(_)) {
                self.visits[at].below[slot] = Some(self.visits.len());
                self.visits.push(visit(depth + 1, from, to));
            }
        }
    }

    /// Return the new root, and every page that changed; all pages must have been given.
    pub fn finish(self) -> (Hash, Writes) {
        let mut writes = Writes::default();
        let root = self.page(0, &mut writes).hash();
        (root, writes)
    }

    fn page(&self, at: usize, writes: &mut Writes) -> Node {
        let visit = &self.visits[at];
        let mut slots = visit.slots;
        for (slot, from, to) in groups(&self.changes, visit.depth, visit.start, visit.end) {
            slots[slot] = match visit.below[slot] {
                Some(below) => self.page(below, writes),
                None => place(&slots[slot], visit.depth + 1, &self.changes[from..to], writes),
            };
        }
        let path = &self.changes[visit.start].path;
        let before = visit.raw.as_deref().map(|raw| (&visit.slots, raw));
        close(&slots, path, visit.depth, before, writes)
    }
}

fn visit(depth: usize, start: usize, end: usize) -> Visit {
    let (slots, below) = ([Node::Nothing; SLOTS], [None; SLOTS]);
    Visit { depth, start, end, raw: None, slots, below }
}

/// Return (slot, first, end) of each run of changes that goes into one slot.
fn groups(
    changes: &[Change],
    depth: usize,
    start: usize,
    end: usize,
) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    let mut from = start;
    while from < end {
        let slot = slot_of(&changes[from].path, depth);
        let same = changes[from..end].iter().take_while(|item| slot_of(&item.path, depth) == slot);
        let to = from + same.count();
        found.push((slot, from, to));
        from = to;
    }
    found
}

/// Return the node of exactly the keys in `row` below their first `depth` nibbles, and its pages.
///
/// `row`: place and hash of the value of each key, in any order.  Returns what is wrong with it.
pub fn grown(row: &[u8], depth: usize) -> Result<(Node, Vec<Write>), String> {
    let (items, rest) = row.as_chunks::<64>();
    if !rest.is_empty() || depth >= NIBBLES {
        return Err("keys of 64 bytes and a depth below 64 are due".into());
    }
    let mut present: Vec<Change> = items
        .iter()
        .map(|item| {
            let (path, value) = item.split_at(32);
            Change { path: to_hash(path), value: Some(to_hash(value)) }
        })
        .collect();
    present.sort_unstable_by_key(|change| change.path);
    if present.windows(2).any(|pair| pair[0].path == pair[1].path) {
        return Err("two keys with one path".into());
    }
    // In order: what the first and the last share, all do.
    if let (Some(first), Some(last)) = (present.first(), present.last())
        && (0..depth).any(|at| slot_of(&first.path, at) != slot_of(&last.path, at))
    {
        return Err("keys of different places".into());
    }
    let mut writes = Writes::default();
    let node = place(&Node::Nothing, depth, &present, &mut writes);
    Ok((node, writes.pages))
}

fn to_hash(half: &[u8]) -> Hash {
    half.try_into().expect("half of 64 bytes")
}

/// Put changes into a slot that holds at most one key; return what stands there then.
fn place(node: &Node, depth: usize, changes: &[Change], writes: &mut Writes) -> Node {
    let mut present: Vec<Change> =
        changes.iter().filter(|change| change.value.is_some()).copied().collect();
    if let Node::Key { path, value } = node
        && !changes.iter().any(|change| change.path == *path)
    {
        present.push(Change { path: *path, value: Some(*value) });
        present.sort_unstable_by_key(|change| change.path);
    }
    match present.as_slice() {
        [] => Node::Nothing,
        [Change { path, value: Some(value) }] => Node::Key { path: *path, value: *value },
        _ => grow(depth, &present, writes),
    }
}

/// Make a new page of at least two keys.
fn grow(depth: usize, present: &[Change], writes: &mut Writes) -> Node {
    assert!(depth < NIBBLES, "two keys with one path");
    let mut slots = [Node::Nothing; SLOTS];
    for (slot, from, to) in groups(present, depth, 0, present.len()) {
        slots[slot] = place(&Node::Nothing, depth + 1, &present[from..to], writes);
    }
    close(&slots, &present[0].path, depth, None, writes)
}

/// Return the node of a finished page, after noting its write if it changed.
///
/// A page left with one key gives it up to the page above; only the root page keeps it.
fn close(
    slots: &Slots,
    path: &Hash,
    depth: usize,
    before: Option<(&Slots, &[u8])>,
    writes: &mut Writes,
) -> Node {
    let node = fold(slots);
    let kept = match node {
        Node::Subtree(_) => true,
        Node::Key { .. } => depth == 0,
        Node::Nothing => false,
    };
    let after = kept.then(|| encode(slots));
    if after.as_deref() != before.map(|(_, raw)| raw) {
        let name = page_key(path, depth);
        let after_page = after.as_deref().map(|raw| (slots, raw));
        patch::add(&mut writes.patches, &name, before, after_page);
        writes.pages.push((name, after));
    }
    node
}
