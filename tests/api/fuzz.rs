//! The server fuzzed from its own contract by schemathesis (installed by `scripts/test`): whatever
//! is asked, no 5xx, no hang, and every answer as it is written down.

use std::path::Path;
use std::process::Command;

use crate::site::{Site, poll};

/// The whole run, in seconds.
const TIME_MAX_S: u32 = 40;
/// Cases of each operation and phase.
const EXAMPLES_MAX: u32 = 6;

#[test]
fn whatever_is_asked_the_answer_is_as_written() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/schemathesis");
    assert!(
        program.exists(),
        "schemathesis is missing: scripts/test installs it"
    );
    let site = Site::new();
    site.wait_for_data();
    let given = std::env::var("THRIO_EDGE_SEED").ok();
    let seed = given.unwrap_or_else(|| std::process::id().to_string());
    println!("THRIO_EDGE_SEED={seed}");
    let before = site.realtime_answers();
    let output = Command::new(program)
        .current_dir(site.folder.path())
        .arg("run")
        .arg(site.url("/api/v1/openapi.yaml"))
        .args(["--url", &site.url("")])
        .args(["--header", &format!("Authorization: Bearer {}", site.token)])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        // Its answer does not end.
        .args(["--exclude-path", "/api/v1/events"])
        .args(["--max-examples", &EXAMPLES_MAX.to_string()])
        .args(["--max-time", &TIME_MAX_S.to_string()])
        .args(["--request-timeout", "30"])
        .args(["--generation-database", "none"])
        .args(["--warnings", "off"])
        .args(["--seed", &seed])
        .arg("--no-color")
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{report}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(report.contains("generated"), "nothing was tried: {report}");
    poll("polls that went on", || {
        (site.realtime_answers() > before).then_some(())
    });
    assert!(site.status().ready);
}
