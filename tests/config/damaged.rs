//! Files that no person meant: nothing panics, and no secret is shown.

use proptest::prelude::*;

use crate::site::{CANARY, Site};

/// A file as an operator may have it, with the secret in three places.
fn victim() -> String {
    format!(
        "[box]\nid = \"b\"\n[[source]]\nname = \"main\"\n[source.realtime]\naccount = \"a\"\n\
         password = \"{CANARY}\"\nsnapshot = \"full\"\n[source.historical]\nusername = \"a\"\n\
         password = '''{CANARY}'''\nbase_url = \"https://u:{CANARY}@login.thrio.com\"\n\
         [source.api.realtime]\nheaders = {{ \"X-Key\" = \"{CANARY}\" }}\n[[destination]]\n\
         name = \"d\"\nkind = \"sqlite\"\npath = \"d.db\"\n[store]\nmax_bytes = \"8GiB\"\n"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_never_panics_and_never_shows_a_secret(
        edits in proptest::collection::vec((0.0f64..1.0, 0u8..4, "[\\[\\]{}=\"'#.,\\n a-z0-9]{1,3}"), 1..4)
    ) {
        let mut text = victim();
        for (at, kind, piece) in edits {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
            let at = (at * text.len() as f64) as usize;
            // The secret stays whole where it is: half of it could not be recognised.
            let inside = text.match_indices(CANARY).any(|(start, _)| start < at + 3 && at < start + CANARY.len());
            if inside { continue; }
            match kind {
                0 => text.insert_str(at, &piece),
                1 => { text.remove(at); }
                2 => text.replace_range(at..=at, &piece),
                // A whole line is lost.
                _ => {
                    let line = text[..at].matches('\n').count();
                    let kept = text.split_inclusive('\n').enumerate().filter(|(n, _)| *n != line);
                    text = kept.map(|(_, l)| l).collect();
                }
            }
        }
        let site = Site::new(&text);
        let report = site.report();
        prop_assert!(!report.contains(CANARY), "from\n{}\ncame\n{}", text, report);
        let debug = format!("{:?}", site.load());
        prop_assert!(!debug.contains(CANARY), "from\n{}\ncame\n{}", text, debug);
    }
}
