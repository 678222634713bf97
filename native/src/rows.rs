//! Keys of stored rows, put together and in order.

/// Keys one behind the other, each with the number of its value.
#[derive(Default)]
pub struct Keys {
    bytes: Vec<u8>,
    ends: Vec<(usize, usize)>, // where a key ends, and its value
}

impl Keys {
    /// Add the key that `parts` make together.
    pub fn add(&mut self, value: usize, parts: &[&[u8]]) {
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.ends.push((self.bytes.len(), value));
    }

    /// Return each key with its value's number, ascending; equal keys as they were added.
    pub fn in_order(&self) -> Vec<(&[u8], usize)> {
        let mut start = 0;
        let mut keys: Vec<_> = (self.ends.iter())
            .map(|&(end, value)| {
                let key = &self.bytes[start..end];
                start = end;
                (first_bytes(key), key, value)
            })
            .collect();
        // The number in front settles nearly every comparison without a look at the keys.
        keys.sort_by_key(|&(first, key, _)| (first, key));
        keys.into_iter().map(|(_, key, value)| (key, value)).collect()
    }
}

/// Return the first eight bytes as a number that orders as they do.
fn first_bytes(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = key.len().min(8);
    first[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(first)
}
