#![no_main]

#[path = "../../tests/fuzz/fuzz.rs"]
#[allow(dead_code, unused_imports, reason = "each target has one of the bodies")]
mod fuzz;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzz::plugin(bytes);
});
