//! One heap for all threads.
//!
//! glibc gives threads heaps of their own, and each keeps what its busiest moment needed: the
//! process then holds twice what it uses (measured at preset XL: 77 MiB for 39). How many heaps
//! there are, and when memory goes back, can be said in the environment only, before the first
//! allocation. So the program starts itself anew with it, in the same process.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What is said to glibc: one heap; what lies free at its end, and blocks of 128 KiB, go back.
const SETTINGS: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
];

/// Starts the program anew with one heap. Returns where somebody has said something about heaps in
/// the environment already, which the second start finds too, and where it is not possible.
pub fn share() {
    if !cfg!(target_env = "gnu") || is_said(|name| std::env::var_os(name).is_some()) {
        return;
    }
    // Not /proc/self/exe: the process would be called "exe".
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    let mut again = Command::new(&program);
    again
        .arg0(name.as_deref().unwrap_or(program.as_os_str()))
        .args(arguments)
        .envs(SETTINGS);
    // It returns only where it failed; the program then works with more memory.
    let _ = again.exec();
}

/// Whether any setting is there, or glibc's newer way to give them.
fn is_said(is_set: impl Fn(&OsStr) -> bool) -> bool {
    let names = SETTINGS.iter().map(|(name, _)| *name);
    names
        .chain(["GLIBC_TUNABLES"])
        .any(|name| is_set(OsStr::new(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_start_is_the_last() {
        assert!(!is_said(|_| false));
        for (given, _) in SETTINGS {
            assert!(is_said(|name| name == given), "{given}");
        }
        assert!(is_said(|name| name == "GLIBC_TUNABLES"));
    }
}
