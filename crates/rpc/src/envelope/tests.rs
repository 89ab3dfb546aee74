use super::*;
use proptest::prelude::*;

fn one(text: &str) -> Result<Request<'_>, Malformed<'_>> {
    match parse(text.as_bytes(), 10).unwrap() {
        Body::One(one) => one,
        Body::Batch(_) => panic!("a batch"),
    }
}

fn code_of(text: &[u8]) -> i64 {
    match parse(text, 10) {
        Err(error) => error.code,
        Ok(Body::One(Err(malformed))) => malformed.error.code,
        Ok(other) => panic!("{other:?}"),
    }
}

#[test]
fn ids_come_back_as_they_came_and_null_is_not_absence() {
    for id in ["1", "-1", "1.5", "1e400", "18446744073709551616", "\"a\\u0000b\"", "null"] {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"m","id":{id}}}"#);
        assert_eq!(one(&text).unwrap().id.unwrap().get(), id);
    }
    assert!(one(r#"{"jsonrpc":"2.0","method":"m"}"#).unwrap().id.is_none());
}

#[test]
fn what_is_not_json_is_a_parse_error() {
    let deep = format!(r#"{{"method":1,"x":{}"#, "[".repeat(100_000));
    for text in
        ["", " ", "{", "nul", "{\"a\":}", "[1,", "{\"id\":1,}", "\"", "{\"method\":\"\\ud800\\\"}", deep.as_str()]
    {
        assert_eq!(code_of(text.as_bytes()), code::PARSE, "{text:.40}");
    }
    assert_eq!(code_of(b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\",\"id\":1}"), code::PARSE);
    assert_eq!(code_of(b"{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":1} x"), code::PARSE);
}

#[test]
fn json_that_is_no_request_is_an_invalid_request() {
    for text in [
        "1",
        "null",
        "\"eth_chainId\"",
        "{}",
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"1.0","method":"m","id":1}"#,
        r#"{"method":"m","id":1}"#,
        r#"{"jsonrpc":"2.0","method":1,"id":1}"#,
        r#"{"jsonrpc":"2.0","method":"m","id":{}}"#,
        r#"{"jsonrpc":"2.0","method":"m","id":true}"#,
        r#"{"jsonrpc":"2.0","method":"m","params":"x","id":1}"#,
        r#"{"jsonrpc":"2.0","method":"m","id":1,"id":2}"#,
        "[]",
    ] {
        assert_eq!(code_of(text.as_bytes()), code::INVALID_REQUEST, "{text}");
    }
}

#[test]
fn an_invalid_request_is_answered_under_its_id() {
    let malformed = one(r#"{"jsonrpc":"2.0","method":7,"id":"x"}"#).unwrap_err();
    assert_eq!(malformed.id.unwrap().get(), "\"x\"");
}

#[test]
fn a_batch_keeps_its_order_and_its_limit() {
    let Body::Batch(items) = parse(b" [1, {\"a\":[]}, \"x\"]", 3).unwrap() else { panic!("not a batch") };
    assert_eq!(items.iter().map(|i| i.get()).collect::<Vec<_>>(), ["1", "{\"a\":[]}", "\"x\""]);
    assert_eq!(parse(b"[1,2,3,4]", 3).unwrap_err().code, code::LIMIT);
}

#[test]
fn deep_nesting_in_params_and_unknown_members_is_skipped_without_recursion() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let text = format!(r#"{{"jsonrpc":"2.0","method":"m","params":{deep},"x":{deep},"id":1}}"#);
    assert!(one(&text).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, 10);
    }

    #[test]
    fn no_near_request_panics(text in r#"[\[\{]?"?(jsonrpc|method|id|params)?"?[:,]?(\[|\{|null|1|"x")*[\]\}]?"#) {
        if let Ok(Body::Batch(items)) = parse(text.as_bytes(), 10) {
            for item in items {
                let _ = parse_element(item);
            }
        }
    }

    #[test]
    fn answers_are_json(id in r#"-?[1-9][0-9]{0,20}|"[a-z]*""#, message in ".*") {
        let id = RawValue::from_string(id).unwrap();
        let mut out = Vec::new();
        write_answer(&mut out, Some(&id), &Err(RpcError::new(-1, message.clone())));
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(&value["error"]["message"], &serde_json::json!(message));
    }
}
