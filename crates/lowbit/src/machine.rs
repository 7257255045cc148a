//! What lowbit finds on this machine: the first thing to look at when something is slow, or differs from another machine.

use std::path::PathBuf;

use serde::Serialize;

use crate::facade::{self, KernelSet};
use crate::pipeline;

/// What there is here, and what of it is used.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Version of lowbit.
    pub version: String,
    /// Operating system and kind of processor, such as `linux x86_64`.
    pub system: String,
    /// Name of the processor, where the system says it.
    pub processor: Option<String>,
    /// Threads that a job takes when it is not told how many.
    pub threads: usize,
    /// Bytes of memory that are free, where the system says it.
    pub free_bytes: Option<u64>,
    /// Instruction sets that kernels are built for and this processor has, fastest first; empty if `kernels_problem` says why.
    pub kernels: Vec<KernelSet>,
    /// Why no kernel can be chosen: `LOWBIT_ISA` names what is not here.
    pub kernels_problem: Option<String>,
    /// Devices that networks run on.
    pub devices: Vec<String>,
    /// Where caches go that memory does not hold.
    pub temporary: PathBuf,
    /// Why nothing can be written there.
    pub temporary_problem: Option<String>,
}

impl Machine {
    /// Looks.
    pub fn look() -> Machine {
        let (kernels, kernels_problem) = match facade::kernels() {
            Ok(kernels) => (kernels, None),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        let temporary = std::env::temp_dir();
        Machine {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processor: processor(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            free_bytes: pipeline::free_memory(),
            kernels,
            kernels_problem,
            devices: vec!["CPU".to_owned()],
            temporary_problem: tempfile::tempfile_in(&temporary).err().map(|error| error.kind().to_string()),
            temporary,
        }
    }

    /// Whether jobs can run here as they should.
    pub fn is_well(&self) -> bool {
        self.kernels_problem.is_none() && self.temporary_problem.is_none()
    }
}

/// The name of the first processor, by what Linux says.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start().strip_prefix(':')?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instruction_set_is_chosen_where_all_is_well() {
        let machine = Machine::look();
        assert!(machine.threads > 0 && !machine.temporary.as_os_str().is_empty());
        let chosen = machine.kernels.iter().filter(|set| set.chosen).count();
        assert_eq!(chosen, usize::from(machine.kernels_problem.is_none()));
    }
}
