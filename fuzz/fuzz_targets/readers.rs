//! Gives what libFuzzer makes up to the reader that the variable `MERGAN_READER` names.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mergan_fuzz::{Reader, reader};

static READER: LazyLock<Reader> = LazyLock::new(|| {
    let name = std::env::var("MERGAN_READER").expect("MERGAN_READER names a reader");
    reader(&name).expect("a reader that `seeds` lists")
});

fuzz_target!(|bytes: &[u8]| (READER.read)(bytes));
