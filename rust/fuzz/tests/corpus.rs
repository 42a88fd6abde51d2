//! Whatever fuzzing has found worth keeping, again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use pilotfish_fuzz::TARGETS;

#[test]
fn the_corpus_breaks_nothing() {
    for (name, holds) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let entries: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(entries.len() >= 10, "{} holds {} inputs", folder.display(), entries.len());
        for entry in entries {
            holds(&std::fs::read(&entry).unwrap());
        }
    }
}

#[test]
fn inputs_of_every_small_length_break_nothing() {
    for (_, holds) in TARGETS {
        for length in 0..64 {
            for byte in [0, 1, 0x0a, 0x7f, 0x80, 0xff] {
                holds(&vec![byte; length]);
            }
        }
    }
}
