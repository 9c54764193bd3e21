//! The receiver on real sockets: what real boxes send it, what it refuses, what it does when its
//! database is stuck, and that neither side's death loses or doubles anything.

#[path = "../support/authority.rs"]
mod authority;
#[path = "../support/check.rs"]
mod check;
#[path = "../support/forwarding_box.rs"]
#[allow(dead_code, reason = "another kind's tests use the rest of it")]
mod forwarding_box;
mod gate;
mod postgres;
#[path = "../support/postgres_server.rs"]
#[allow(dead_code, reason = "another kind's tests use the rest of it")]
mod postgres_server;
mod process;
mod protocol;
mod site;
mod tls;

use check::check_connect;
use forwarding_box::agent;
use site::Site;

#[test]
fn what_boxes_send_is_in_the_tables_under_the_ids_of_their_tokens() {
    let site = Site::start();
    let mut first = site.sender("front-desk", "main");
    let mut second = site.sender("north", "second");
    first.journal(&[agent("main", "a-1")]);
    first.journal_transactions(2_500);
    second.journal_transactions(700);
    first.run_until_delivered();
    second.run_until_delivered();
    let count =
        "SELECT COUNT(DISTINCT record_seq) FROM wfm_agent_state_transaction WHERE source = ?";
    assert_eq!(site.number(count, "main"), 2_500);
    assert_eq!(site.number(count, "second"), 700);
    assert_eq!(
        site.number("SELECT COUNT(*) FROM wfm_agent WHERE source = ?", "main"),
        1
    );
    let box_of = "SELECT COUNT(*) FROM wfm_source WHERE source = 'main' AND box_id = ?";
    assert_eq!(site.number(box_of, "front-desk"), 1);
    let alive = "SELECT COUNT(*) FROM wfm_box WHERE box_id = ?";
    assert_eq!(site.number(alive, "north"), 1);
    let ranges = "SELECT COUNT(*) FROM wfm_delivery WHERE box_id = ? AND first_seq = 1";
    assert_eq!(site.number(ranges, "front-desk"), 1);
}

#[test]
fn a_box_that_lies_about_its_id_writes_under_its_own() {
    let site = Site::start();
    // The token of north, the id of front-desk.
    let mut liar = site.sender_as("front-desk", "second", site::token("north"));
    liar.journal_transactions(5);
    liar.run_until_delivered();
    let alive = "SELECT COUNT(*) FROM wfm_box WHERE box_id = ?";
    assert_eq!(site.number(alive, "front-desk"), 0);
    assert_eq!(site.number(alive, "north"), 1);
    let delivered = "SELECT COUNT(*) FROM wfm_delivery WHERE box_id = ?";
    assert_eq!(site.number(delivered, "front-desk"), 0);
}

#[test]
fn a_source_that_another_box_has_is_refused_until_a_person_takes_it_over() {
    let site = Site::start();
    let mut first = site.sender("front-desk", "main");
    first.journal_transactions(10);
    first.run_until_delivered();
    let mut second = site.sender("north", "main");
    second.journal_transactions(3);
    let reason = second.run_until_held();
    assert!(
        reason.contains("409") && reason.contains("front-desk"),
        "{reason}"
    );
    assert!(
        reason.contains("thrio-edge claim --source main"),
        "{reason}"
    );
    let rows = "SELECT COUNT(*) FROM wfm_agent_state_transaction WHERE source = ?";
    assert_eq!(site.number(rows, "main"), 10);
    second.claim("main");
    second.run_until_delivered();
    let owner = "SELECT COUNT(*) FROM wfm_source WHERE source = 'main' AND box_id = ?";
    assert_eq!(site.number(owner, "north"), 1);
    // The former one is told when it writes next, and takes nothing back by itself.
    first.journal_transactions(4);
    let reason = first.run_until_held();
    assert!(
        reason.contains("409") && reason.contains("north"),
        "{reason}"
    );
    assert_eq!(site.number(owner, "north"), 1);
    first.claim("main");
    first.run_until_delivered();
    assert_eq!(site.number(owner, "front-desk"), 1);
}

#[test]
fn a_box_that_may_write_some_sources_writes_no_other() {
    let site = Site::start();
    let mut confined = site.sender("south", "main");
    confined.journal_transactions(3);
    let reason = confined.run_until_held();
    assert!(reason.contains("may not write source main"), "{reason}");
    for table in [
        "wfm_source",
        "wfm_agent_state_transaction",
        "wfm_agent_state_current",
        "wfm_agent",
    ] {
        let rows = format!("SELECT COUNT(*) FROM {table} WHERE source = ?");
        assert_eq!(site.number(&rows, "main"), 0, "{table}");
    }
    let receipts = "SELECT COUNT(*) FROM wfm_delivery WHERE box_id = ?";
    assert_eq!(site.number(receipts, "south"), 0);
}

#[test]
fn a_wrong_token_is_told_from_a_wrong_path() {
    let site = Site::start();
    let mut stranger = site.sender_as("front-desk", "main", "a-token-that-nobody-has");
    stranger.journal_transactions(1);
    let reason = stranger.run_until_held();
    assert!(
        reason.contains("401") && !reason.contains("a-token"),
        "{reason}"
    );
}

#[test]
fn check_connect_of_a_box_stores_nothing() {
    let site = Site::start();
    let folder = tempfile::tempdir().expect("a folder");
    let destination = format!(
        "kind = \"http\"\nurl = \"{}\"\ntoken = \"{}\"\n",
        site.url(),
        site::token("front-desk")
    );
    let check = || {
        let (code, said) = check_connect(folder.path(), &destination);
        assert_eq!(code, Some(0), "{said}");
    };
    check();
    assert!(!site.database().exists(), "nobody wrote yet");
    let mut other = site.sender("north", "second");
    other.journal_transactions(100);
    other.run_until_delivered();
    let before = site.rows();
    assert!(!before.is_empty());
    check();
    assert_eq!(site.rows(), before);
}
