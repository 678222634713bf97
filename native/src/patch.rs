//! What makes one page of the state tree out of another, as `node/ledger/patch.py` defines it.

use crate::page::{Node, Slots};

const ALL: usize = 0xffff; // to leave out: whatever is there

/// A page as its slots and as its bytes.
type Page<'a> = (&'a Slots, &'a [u8]);

/// Add the patch of the page `name` to a row of patches; None is no page.
pub fn add(row: &mut Vec<u8>, name: &[u8], before: Option<Page<'_>>, after: Option<Page<'_>>) {
    row.push(name.len() as u8);
    row.extend_from_slice(name);
    let start = row.len();
    row.extend_from_slice(&[0; 2]);
    match (before, after) {
        (_, None) => {}
        (None, Some((_, page))) => put(row, 0, ALL, page),
        (Some(before), Some(after)) => differences(row, before, after),
    }
    let size = (row.len() - start - 2) as u16;
    row[start..start + 2].copy_from_slice(&size.to_be_bytes());
}

fn differences(row: &mut Vec<u8>, (old, was): Page<'_>, (new, is): Page<'_>) {
    let (mut kept, mut at) = (4, 4);
    if was[..4] != is[..4] {
        put(row, 0, 4, &is[..4]);
        kept = 0;
    }
    for (old, new) in old.iter().zip(new) {
        let (gone, come) = (size(old), size(new));
        if old == new {
            kept += come;
        } else {
            put(row, kept, gone, &is[at..at + come]);
            kept = 0;
        }
        at += come;
    }
    if was[was.len() - 4..] != is[at..] {
        put(row, kept, 4, &is[at..]);
    } else {
        put(row, kept + 4, 0, &[]);
    }
}

fn size(node: &Node) -> usize {
    match node {
        Node::Nothing => 0,
        Node::Subtree(_) => 32,
        Node::Key { .. } => 64,
    }
}

/// Add: bytes to keep, bytes to leave out, what to put in their place; sizes as be16.
fn put(row: &mut Vec<u8>, kept: usize, left_out: usize, come: &[u8]) {
    for size in [kept, left_out, come.len()] {
        row.extend_from_slice(&(size as u16).to_be_bytes());
    }
    row.extend_from_slice(come);
}
