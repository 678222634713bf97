//! The Python module `chartseal_native`: whole batches in, whole batches out.
//!
//! Owns: taking arguments from Python objects and making results; between the two each call
//! gives up the interpreter lock.  Refuses: policy, and any state of its own.  Each function has
//! a twin in `node/ledger/accel/pure.py` with the same answers; the tests hold the two together.
//! A row is hashes of 32 bytes, joined.

mod canon;
mod frame;
mod merkle;
mod objects;
mod page;
mod patch;
mod rows;
mod sha;
mod state;
mod undo;
mod verify;

use pyo3::prelude::*;

pyo3::create_exception!(
    chartseal_native,
    PageDamaged,
    pyo3::exceptions::PyException,
    "A stored page of the state tree is damaged, missing, or not the one its parent speaks of."
);

#[pymodule]
mod chartseal_native {
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use pyo3::pybacked::PyBackedBytes;
    use pyo3::types::{PyBytes, PyList, PyType};

    use crate::sha::{Hash, leaf_hash};
    use crate::{canon, frame, merkle, objects, rows, state, undo, verify};

    #[pymodule_export]
    use super::PageDamaged;

    /// Counts up whenever a function's name, arguments or answers change.
    #[pymodule_export]
    const ABI: u32 = 9;

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    type Pair = (PyBackedBytes, Option<PyBackedBytes>);

    /// Return for each (key, message, signature) whether ZIP 215 accepts it.
    #[pyfunction]
    fn verify_batch(
        py: Python<'_>,
        items: Vec<(PyBackedBytes, PyBackedBytes, PyBackedBytes)>,
    ) -> Vec<bool> {
        py.detach(|| {
            let items: Vec<verify::Item> = items
                .iter()
                .map(|(key, message, signature)| verify::Item { key, message, signature })
                .collect();
            verify::verify_batch(&items)
        })
    }

    /// Return the RFC 6962 leaf hash of each leaf's data.
    #[pyfunction]
    fn leaf_hashes(py: Python<'_>, leaves: Vec<PyBackedBytes>) -> PyResult<Bound<'_, PyList>> {
        let hashes: Vec<Hash> = py.detach(|| leaves.iter().map(|leaf| leaf_hash(leaf)).collect());
        PyList::new(py, hashes.iter().map(|hash| PyBytes::new(py, hash)))
    }

    /// Return the RFC 6962 root over leaves whose data are the items of a row.
    #[pyfunction]
    fn items_root<'py>(
        py: Python<'py>,
        row: &Bound<'py, PyBytes>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let items = hashes(row.as_bytes())?;
        let root = py.detach(|| {
            let leaves: Vec<Hash> = items.iter().map(|item| leaf_hash(item)).collect();
            merkle::root(&leaves)
        });
        Ok(PyBytes::new(py, &root))
    }

    /// Return the pairs, and after them one for each item of each row of items (its own head, the
    /// item, tail and its number as be32; value), with `head` in front of each key, in ascending
    /// order of keys; of equal keys the last one comes last.
    #[pyfunction]
    fn sorted_rows<'py>(
        py: Python<'py>,
        head: &[u8],
        rows: Vec<(PyBackedBytes, Bound<'py, PyAny>)>,
        items: Vec<(PyBackedBytes, PyBackedBytes, PyBackedBytes, Bound<'py, PyBytes>)>,
    ) -> PyResult<Bound<'py, PyList>> {
        let (names, values): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let mut runs = Vec::with_capacity(items.len());
        let mut run_values = Vec::with_capacity(items.len());
        for (first, row, tail, value) in items {
            hashes(&row)?;
            runs.push((first, row, tail));
            run_values.push(value.into_any());
        }
        let mut keys = rows::Keys::default();
        let order = py.detach(|| {
            for (value, name) in names.iter().enumerate() {
                keys.add(value, &[head, name]);
            }
            for (value, (first, row, tail)) in (names.len()..).zip(&runs) {
                for (number, item) in (0u32..).zip(row.as_chunks::<32>().0) {
                    keys.add(value, &[head, first, item, tail, &number.to_be_bytes()]);
                }
            }
            keys.in_order()
        });
        let value = |at: usize| values.get(at).unwrap_or_else(|| &run_values[at - values.len()]);
        PyList::new(py, order.iter().map(|(key, at)| (PyBytes::new(py, key), value(*at))))
    }

    /// Return the RFC 6962 root over a row.
    #[pyfunction]
    fn row_root<'py>(py: Python<'py>, row: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyBytes>> {
        let hashes = hashes(row.as_bytes())?;
        Ok(PyBytes::new(py, &py.detach(|| merkle::root(hashes))))
    }

    /// Return, joined, the root of each whole run of `width` hashes of a row.
    #[pyfunction]
    fn roots_of_runs<'py>(
        py: Python<'py>,
        row: &Bound<'py, PyBytes>,
        width: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let hashes = hashes(row.as_bytes())?;
        if width == 0 {
            return Err(PyValueError::new_err("runs of no hashes"));
        }
        let roots = py.detach(|| merkle::roots_of_runs(hashes, width));
        Ok(PyBytes::new(py, roots.as_flattened()))
    }

    /// Return the root of each range [start, end) of a row's hashes.
    #[pyfunction]
    fn roots_of_ranges<'py>(
        py: Python<'py>,
        row: &Bound<'py, PyBytes>,
        ranges: Vec<(usize, usize)>,
    ) -> PyResult<Bound<'py, PyList>> {
        let hashes = hashes(row.as_bytes())?;
        if ranges.iter().any(|(start, end)| start > end || *end > hashes.len()) {
            return Err(PyValueError::new_err("a range beyond the row"));
        }
        let roots: Vec<Hash> = py.detach(|| {
            ranges.iter().map(|(start, end)| merkle::root(&hashes[*start..*end])).collect()
        });
        PyList::new(py, roots.iter().map(|root| PyBytes::new(py, root)))
    }

    /// Return the peaks, joined, of a tree of `size` leaves after a row of leaves was added.
    #[pyfunction]
    fn extend_frontier<'py>(
        py: Python<'py>,
        size: u64,
        peaks: &Bound<'py, PyBytes>,
        row: &Bound<'py, PyBytes>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (peaks, leaves) = (hashes(peaks.as_bytes())?, hashes(row.as_bytes())?);
        if peaks.len() != size.count_ones() as usize || size > u64::MAX >> 1 {
            return Err(PyValueError::new_err("the peaks are not of that size"));
        }
        let peaks = py.detach(|| merkle::extend_frontier(size, peaks, leaves));
        Ok(PyBytes::new(py, peaks.as_flattened()))
    }

    /// Return the state tree's root after changes of (key, value or None), the page writes and a
    /// row of what makes these pages out of what they were.
    ///
    /// `read_pages` is called with the names of the pages that are needed on each level, each once.
    #[pyfunction]
    fn update_state<'py>(
        py: Python<'py>,
        changes: Vec<Pair>,
        read_pages: &Bound<'py, PyAny>,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyList>, Bound<'py, PyBytes>)> {
        if changes.is_empty() {
            return Err(PyValueError::new_err("no changes"));
        }
        let mut update = py.detach(|| {
            let pairs = changes.iter();
            state::Update::new(pairs.map(|(key, value)| (&key[..], value.as_deref())))
        });
        loop {
            let wanted = update.wanted();
            if wanted.is_empty() {
                break;
            }
            let names = PyList::new(py, wanted.iter().map(|name| PyBytes::new(py, name)))?;
            let pages: Vec<Option<PyBackedBytes>> = read_pages.call1((names,))?.extract()?;
            if pages.len() != wanted.len() {
                return Err(PyValueError::new_err("one page for each name is due"));
            }
            py.detach(|| {
                update.give(pages.iter().map(|page| page.as_deref().map(<[u8]>::to_vec)).collect())
            })
            .map_err(PageDamaged::new_err)?;
        }
        let (root, writes) = py.detach(|| update.finish());
        let pages = writes.pages.iter().map(|(name, page)| {
            let page = page.as_ref().map(|page| PyBytes::new(py, page));
            (PyBytes::new(py, name), page)
        });
        let pages = PyList::new(py, pages.collect::<Vec<_>>())?;
        Ok((PyBytes::new(py, &root), pages, PyBytes::new(py, &writes.patches)))
    }

    /// Return the node of the keys in `row` (path and hash of the value each) below `depth`
    /// nibbles that they share, and the pages of their tree.
    #[pyfunction]
    fn grow_state<'py>(
        py: Python<'py>,
        row: &[u8],
        depth: usize,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyList>)> {
        let (node, pages) =
            py.detach(|| state::grown(row, depth)).map_err(PyValueError::new_err)?;
        let pages = pages.iter().map(|(name, page)| {
            (PyBytes::new(py, name), page.as_ref().map(|page| PyBytes::new(py, page)))
        });
        let pages = PyList::new(py, pages.collect::<Vec<_>>())?;
        Ok((PyBytes::new(py, &node.bytes()), pages))
    }

    /// Return what each page lost when it became the second of its pair (None: it was dropped).
    #[pyfunction]
    fn pages_lost<'py>(py: Python<'py>, pairs: Vec<Pair>) -> Vec<Bound<'py, PyBytes>> {
        let lost: Vec<Vec<u8>> = py.detach(|| {
            pairs.iter().map(|(before, after)| undo::lost(before, after.as_deref())).collect()
        });
        lost.iter().map(|raw| PyBytes::new(py, raw)).collect()
    }

    /// Return a pair for each slot that differs between the pages of (key, before, now): `head`,
    /// key and slot, and the node now, None for an empty slot.
    #[pyfunction]
    fn page_rows<'py>(
        py: Python<'py>,
        head: &[u8],
        settled: Vec<(PyBackedBytes, Option<PyBackedBytes>, Option<PyBackedBytes>)>,
    ) -> PyResult<Bound<'py, PyList>> {
        let rows: Vec<(Vec<u8>, &[u8])> = py.detach(|| {
            let mut rows = Vec::with_capacity(2 * settled.len());
            for (key, before, now) in &settled {
                for (slot, node) in undo::differing(before.as_deref(), now.as_deref()) {
                    rows.push(([head, key, &[slot]].concat(), node));
                }
            }
            rows
        });
        let rows = rows.iter().map(|(name, node)| {
            let node = (!node.is_empty()).then(|| PyBytes::new(py, node));
            (PyBytes::new(py, name), node)
        });
        PyList::new(py, rows.collect::<Vec<_>>())
    }

    /// Return for each of `raws` whether it is one value in canonical MessagePack.
    #[pyfunction]
    fn are_canonical(py: Python<'_>, raws: Vec<PyBackedBytes>) -> Vec<bool> {
        py.detach(|| raws.iter().map(|raw| canon::is_canonical(raw)).collect())
    }

    /// Return (transaction, checks) of each of `raws` in the records given, or None.
    ///
    /// None stands for bytes that are no transaction; the caller finds out why.
    #[pyfunction]
    fn open_batch<'py>(
        py: Python<'py>,
        raws: Vec<PyBackedBytes>,
        transaction: &Bound<'py, PyType>,
        payload: &Bound<'py, PyType>,
        op: &Bound<'py, PyType>,
    ) -> PyResult<Bound<'py, PyList>> {
        let frames: Vec<Option<frame::Frame>> =
            py.detach(|| raws.iter().map(|raw| frame::slice(raw)).collect());
        let records = objects::Records { transaction, payload, op };
        let opened = PyList::empty(py);
        for (raw, frame) in raws.iter().zip(&frames) {
            match frame {
                Some(frame) => {
                    let raw = raw.into_pyobject(py)?;
                    opened.append(objects::opened(py, &raw, frame, &records)?)?;
                }
                None => opened.append(py.None())?,
            }
        }
        Ok(opened)
    }

    fn hashes(row: &[u8]) -> PyResult<&[Hash]> {
        match row.as_chunks::<32>() {
            (hashes, []) => Ok(hashes),
            _ => Err(PyValueError::new_err("a row of 32-byte hashes is due")),
        }
    }
}
