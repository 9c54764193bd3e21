//! The heap of the program, as it was built in.

use std::process::Command;

use crate::succeed;

#[test]
fn the_heap_is_one_for_all_threads_and_gives_free_pages_back_at_once() {
    let mut version = Command::new(env!("CARGO_BIN_EXE_thrio-edge"));
    let told = succeed(
        version
            .arg("--version")
            .env("MALLOC_CONF", "confirm_conf:true"),
    );
    for setting in ["narenas:1", "dirty_decay_ms:0", "muzzy_decay_ms:0"] {
        let line = format!("-- Set conf value: {setting}\n");
        assert!(told.contains(&line), "no {setting}: {told}");
    }
}
