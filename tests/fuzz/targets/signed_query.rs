//! Queries with a signature: no input panics, an accepted one is what its parts write, and every written one is accepted.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;

// The file alone: the feature that has it needs most of the dependencies.
#[path = "../../../src/serve/signed_query.rs"]
mod signed_query;

use signed_query::{SIGNATURE_BYTES, has_parameter, parse};

fn hex(signature: &[u8]) -> String {
    signature.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Arbitrary, Debug)]
struct Query<'a> {
    before: &'a str,
    expires: u64,
    signature: [u8; SIGNATURE_BYTES],
}

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        match parse(text) {
            Ok(Some(query)) => {
                // One spelling for each signature, at the end, after the time that it covers.
                assert_eq!(format!("{}&signature={}", query.signed, hex(&query.signature)), text);
                let (before, expires) = query.signed.rsplit_once('&').unwrap_or(("", query.signed));
                assert_eq!(expires.strip_prefix("expires=").and_then(|digits| digits.parse().ok()), Some(query.expires_unix_s));
                assert!(!has_parameter(before, "expires") && !has_parameter(before, "signature"));
            }
            Ok(None) => assert!(!has_parameter(text, "signature")),
            Err(error) => assert!(has_parameter(text, "signature") && error.text().starts_with("expected")),
        }
    }
    let Ok(valid) = Query::arbitrary(&mut Unstructured::new(input)) else { return };
    let expires = valid.expires % 1_000_000_000_000;
    if has_parameter(valid.before, "expires") || has_parameter(valid.before, "signature") {
        return;
    }
    let and = if valid.before.is_empty() { "" } else { "&" };
    let signed = format!("{}{and}expires={expires}", valid.before);
    let text = format!("{signed}&signature={}", hex(&valid.signature));
    let query = parse(&text).expect("the expected form").expect("a signature");
    assert_eq!((query.signed, query.expires_unix_s, query.signature), (signed.as_str(), expires, valid.signature));
});
