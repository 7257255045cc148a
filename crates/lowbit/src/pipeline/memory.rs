//! How much memory caches may take, and where they go beyond it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use lowbit_quantize::rows::{Budget, RowsError};

use crate::render::units;

/// What caches may take where nobody knows how much memory there is: 2 GiB.
const UNKNOWN: u64 = 2 << 30;

/// A budget of `limit` bytes, or of half the memory that is free; unnamed files in `folder` beyond it.
pub(super) fn budget(limit: Option<u64>, folder: PathBuf) -> Arc<Budget> {
    let limit = limit.or_else(|| Some(available()? / 2)).unwrap_or(UNKNOWN);
    Budget::new(limit, move || {
        tempfile::tempfile_in(&folder).map_err(|error| {
            // The error of `tempfile` names a file that nobody knows; the folder and the kind are what helps.
            let kind = error.kind();
            io::Error::new(kind, format!("{} (in {})", io::Error::from(kind), folder.display()))
        })
    })
}

/// What to do about rows that could not be kept.
pub(super) fn no_place(error: RowsError, budget: &Budget) -> anyhow::Error {
    anyhow::Error::new(error).context(format!(
        "no place for what is kept of the samples (memory for it is limited to {}; --cache-bytes changes that)",
        units::bytes(budget.limit())
    ))
}

/// Bytes of memory that could be had, by what Linux says: free on this machine, or allowed to this container.
pub(crate) fn available() -> Option<u64> {
    let machine = available_in(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse().ok());
    Some(container.map_or(machine, |limit: u64| limit.min(machine)))
}

/// `MemAvailable` of `/proc/meminfo`, which has it in KiB.
fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowbit_quantize::rows::Rows;

    #[test]
    fn free_memory_is_read_from_what_linux_says() {
        let text = "MemTotal:       24605300 kB\nMemFree:  23 kB\nMemAvailable:   23595956 kB\n";
        assert_eq!(available_in(text), Some(23_595_956 * 1024));
        assert_eq!(available_in("MemTotal: 1 kB"), None);
    }

    #[test]
    fn what_is_beyond_the_budget_leaves_nothing_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = Rows::new(&budget(Some(10), folder.path().to_owned()), 4, 4).unwrap();
        rows.write(0, &[1.0; 16]).unwrap();
        assert!(rows.is_spilled());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap().path().join("gone");
        let error = Rows::new(&budget(Some(0), folder), 4, 4).unwrap_err().to_string();
        assert!(error.contains("temporary file for cached rows") && error.contains("gone"), "{error}");
    }
}
