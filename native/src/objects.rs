//! Python objects from bytes that were checked before: values, and our records of transactions.

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyList, PyString, PyTuple, PyType};

use crate::canon::{Head, head, take};
use crate::frame::{Frame, Op};

/// The classes of `node/ledger/payload.py`: frozen dataclasses with slots.
pub struct Records<'a, 'py> {
    pub transaction: &'a Bound<'py, PyType>,
    pub payload: &'a Bound<'py, PyType>,
    pub op: &'a Bound<'py, PyType>,
}

/// Return (transaction, checks) of a sound frame.
pub fn opened<'py>(
    py: Python<'py>,
    raw: &Bound<'py, PyBytes>,
    frame: &Frame<'_>,
    records: &Records<'_, 'py>,
) -> PyResult<Bound<'py, PyTuple>> {
    let found = &frame.fields;
    let ops = found.ops.iter().map(|item| op(py, item, records)).collect::<PyResult<Vec<_>>>()?;
    let payload = record(records.payload)?;
    set(&payload, intern!(py, "network"), &PyBytes::new(py, found.network))?;
    set(&payload, intern!(py, "org"), &PyString::new(py, found.org))?;
    set(&payload, intern!(py, "expires_height"), &found.expires_height.into_pyobject(py)?)?;
    set(&payload, intern!(py, "nonce"), &PyBytes::new(py, found.nonce))?;
    set(&payload, intern!(py, "ops"), &PyTuple::new(py, ops)?)?;
    let keys: Vec<_> = frame.keys.iter().map(|key| PyBytes::new(py, key)).collect();
    let message = PyBytes::new(py, &frame.message);
    let checks = PyList::empty(py);
    for (key, signature) in keys.iter().zip(frame.signatures) {
        checks.append((key, &message, PyBytes::new(py, signature)))?;
    }
    let transaction = record(records.transaction)?;
    set(&transaction, intern!(py, "raw"), raw)?;
    set(&transaction, intern!(py, "txid"), &PyBytes::new(py, &frame.txid))?;
    set(&transaction, intern!(py, "payload"), &payload)?;
    set(&transaction, intern!(py, "keys"), &PyTuple::new(py, keys)?)?;
    (transaction, checks).into_pyobject(py)
}

fn op<'py>(
    py: Python<'py>,
    item: &Op<'_>,
    records: &Records<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let made = record(records.op)?;
    set(&made, intern!(py, "kind"), &PyString::new(py, item.kind))?;
    set(&made, intern!(py, "body"), &value(py, &mut &*item.body)?)?;
    Ok(made)
}

/// Make an empty instance of a class that derives from `object` alone.
///
/// Frozen dataclasses set their own fields around their own lock, in Python, which costs more
/// than everything else about a transaction but its signature.  This is what `object.__new__`
/// and `object.__setattr__` do for them, called directly.
fn record<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: `class` is a live type object, and we are attached to the interpreter.  The
    // result is a new reference, or null with an exception set.
    unsafe {
        let made = ffi::PyType_GenericAlloc(class.as_type_ptr(), 0);
        Bound::from_owned_ptr_or_err(class.py(), made)
    }
}

fn set<T>(
    record: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    value: &Bound<'_, T>,
) -> PyResult<()> {
    // SAFETY: three live objects, borrowed; the call takes its own references.
    let done =
        unsafe { ffi::PyObject_GenericSetAttr(record.as_ptr(), name.as_ptr(), value.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(PyErr::fetch(record.py())) }
}

/// Take one value from canonical bytes; raises `ValueError` for others.
fn value<'py>(py: Python<'py>, rest: &mut &[u8]) -> PyResult<Bound<'py, PyAny>> {
    Ok(match head(rest).ok_or_else(broken)? {
        Head::Nil => py.None().into_bound(py),
        Head::Bool(truth) => PyBool::new(py, truth).to_owned().into_any(),
        Head::Unsigned(number) => number.into_pyobject(py)?.into_any(),
        Head::Negative(number) => number.into_pyobject(py)?.into_any(),
        Head::Bytes(count) => PyBytes::new(py, take(rest, count).ok_or_else(broken)?).into_any(),
        Head::Text(count) => text(py, rest, count)?.into_any(),
        Head::Array(count) => {
            let items = (0..count).map(|_| value(py, rest)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Head::Map(count) => {
            let map = PyDict::new(py);
            for _ in 0..count {
                let Head::Text(length) = head(rest).ok_or_else(broken)? else {
                    return Err(broken());
                };
                map.set_item(text(py, rest, length)?, value(py, rest)?)?;
            }
            map.into_any()
        }
    })
}

fn text<'py>(py: Python<'py>, rest: &mut &[u8], count: usize) -> PyResult<Bound<'py, PyString>> {
    let bytes = take(rest, count).ok_or_else(broken)?;
    Ok(PyString::new(py, std::str::from_utf8(bytes).map_err(|_| broken())?))
}

fn broken() -> PyErr {
    PyValueError::new_err("not canonical MessagePack")
}
