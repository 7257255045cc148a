//! Refusals as exceptions: the classes of `lowbit._errors`, chosen by what the error is about.

use std::io;

use lowbit::Given;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// Where the classes are defined, so that they can be read, subclassed and documented as Python.
const MODULE: &str = "lowbit._errors";

/// An exception of the class of that name.
pub(crate) fn raise(py: Python<'_>, class: &str, message: String) -> PyErr {
    match class_named(py, class) {
        Ok(class) => PyErr::from_type(class, (message,)),
        Err(error) => error,
    }
}

fn class_named<'py>(py: Python<'py>, class: &str) -> PyResult<Bound<'py, PyType>> {
    Ok(py.import(MODULE)?.getattr(class)?.cast_into::<PyType>()?)
}

/// An error of the library as an exception.
pub(crate) fn exception(py: Python<'_>, error: &anyhow::Error) -> PyErr {
    let message = in_python(&told(error));
    if let Some((class, number)) = error.chain().find_map(system) {
        return match class_named(py, class) {
            Ok(class) => PyErr::from_type(class, (number, message)),
            Err(error) => error,
        };
    }
    let class = match lowbit::blamed(error) {
        Some(Given::Model) => "InvalidModel",
        Some(Given::Data) => "InvalidData",
        Some(Given::Recipe) => "InvalidRecipe",
        None => "Error",
    };
    raise(py, class, message)
}

/// What the operating system refused; content that is not what it should be is somebody else's fault.
fn system(cause: &(dyn std::error::Error + 'static)) -> Option<(&'static str, Option<i32>)> {
    let error = cause.downcast_ref::<io::Error>()?;
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::NotFound, number) => Some(("MissingFile", number)),
        (_, Some(number)) => Some(("FileError", Some(number))),
        (io::ErrorKind::PermissionDenied | io::ErrorKind::StorageFull, None) => Some(("FileError", None)),
        _ => None,
    }
}

/// An error and its causes, one line; some messages end with their cause already.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// A message with options as Python writes them: `--cache-bytes` is `cache_bytes=`.
pub(crate) fn in_python(text: &str) -> String {
    let mut parts = text.split("--");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_lowercase() || c == '-')).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        if name.is_empty() || !out.chars().next_back().is_none_or(|c| c.is_whitespace() || "(`".contains(c)) {
            out.push_str("--");
            out.push_str(part);
        } else {
            out.push_str(&name.replace('-', "_"));
            out.push('=');
            out.push_str(
                rest.strip_prefix(' ')
                    .filter(|r| r.starts_with(|c: char| c.is_ascii_digit()))
                    .unwrap_or(rest),
            );
        }
    }
    out
}
