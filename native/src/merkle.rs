//! The tree of RFC 6962 over rows of leaf hashes.

use crate::sha::{Hash, node_hash, sha256};

/// Return the root over `hashes`; of none, the hash of the empty string (RFC 9162, 2.1.1).
///
/// Level by level: an odd last node rises unchanged, which gives the tree of the RFC.
pub fn root(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => return sha256(b""),
        [only] => return *only,
        _ => {}
    }
    let mut level = above(hashes);
    while level.len() > 1 {
        let pairs = level.len() / 2;
        for at in 0..pairs {
            level[at] = node_hash(&level[2 * at], &level[2 * at + 1]);
        }
        if level.len() % 2 == 1 {
            level[pairs] = level[level.len() - 1];
        }
        level.truncate(level.len().div_ceil(2));
    }
    level[0]
}

fn above(hashes: &[Hash]) -> Vec<Hash> {
    let (pairs, odd) = hashes.as_chunks::<2>();
    let mut level: Vec<Hash> = pairs.iter().map(|[a, b]| node_hash(a, b)).collect();
    level.extend_from_slice(odd);
    level
}

/// Return the root of each whole run of `width` hashes; a shorter rest gives nothing.
pub fn roots_of_runs(row: &[Hash], width: usize) -> Vec<Hash> {
    row.chunks_exact(width).map(root).collect()
}

/// Return the peaks of a tree of `size` leaves after `leaves` were added.
///
/// `peaks` are the roots of its complete subtrees from the left of the tree to its right, one
/// for each bit of `size`.
pub fn extend_frontier(size: u64, peaks: &[Hash], leaves: &[Hash]) -> Vec<Hash> {
    let mut stack = peaks.to_vec();
    for (count, leaf) in (size..).zip(leaves) {
        stack.push(*leaf);
        // Each bit that the increment carries over joins the two newest subtrees.
        for _ in 0..count.trailing_ones() {
            let right = stack.pop().expect("a peak for each bit");
            let left = stack.pop().expect("a peak for each bit");
            stack.push(node_hash(&left, &right));
        }
    }
    stack
}
