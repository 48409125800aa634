//! One line of the QEMU Machine Protocol, recognised (QEMU `docs/interop/qmp-spec`, section 2).

use serde_json::Value;

/// What QEMU sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// First line of a connection.
    Greeting {
        /// `major.minor.micro`, where it was told.
        version: String,
    },
    /// Something happened, as it came.
    Event(Value),
    /// A command's result.
    Answer {
        /// The number that the command carried; none when QEMU could not even parse it.
        id: Option<u64>,
        /// The value, or QEMU's class and description of the error.
        result: Result<Value, (String, String)>,
    },
    /// An object of no known kind: a later QEMU may send more than we know, so it is passed over.
    Unknown,
}

/// Recognises one line.
///
/// # Errors
/// When it is no JSON object: then this is no monitor, or bytes were lost.
pub fn parse(line: &[u8]) -> Result<Incoming, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let Some(object) = value.as_object() else {
        return Err("expected a JSON object".into());
    };
    let id = object.get("id").and_then(Value::as_u64);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(if let Some(greeting) = object.get("QMP") {
        let number = |part: &str| greeting["version"]["qemu"][part].as_u64().unwrap_or(0);
        Incoming::Greeting { version: format!("{}.{}.{}", number("major"), number("minor"), number("micro")) }
    } else if object.contains_key("event") {
        Incoming::Event(value)
    } else if let Some(result) = object.get("return") {
        Incoming::Answer { id, result: Ok(result.clone()) }
    } else if let Some(error) = object.get("error") {
        Incoming::Answer { id, result: Err((text(error.get("class")), text(error.get("desc")))) }
    } else {
        Incoming::Unknown
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::greeting(
        r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}"#,
        Incoming::Greeting { version: "7.2.22".into() }
    )]
    #[case::greeting_of_another_shape(r#"{"QMP": []}"#, Incoming::Greeting { version: "0.0.0".into() })]
    #[case::event(
        r#"{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}"#,
        Incoming::Event(json!({"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}))
    )]
    #[case::result(r#"{"return": {"running": true}, "id": 7}"#,
        Incoming::Answer { id: Some(7), result: Ok(json!({"running": true})) })]
    #[case::error(r#"{"id": 1, "error": {"class": "CommandNotFound", "desc": "no such"}}"#,
        Incoming::Answer { id: Some(1), result: Err(("CommandNotFound".into(), "no such".into())) })]
    #[case::error_of_another_shape(r#"{"error": 5}"#,
        Incoming::Answer { id: None, result: Err((String::new(), String::new())) })]
    #[case::foreign_id(r#"{"return": {}, "id": "x"}"#, Incoming::Answer { id: None, result: Ok(json!({})) })]
    #[case::of_a_later_qemu(r#"{"hello": 1}"#, Incoming::Unknown)]
    fn recognises(#[case] line: &str, #[case] expected: Incoming) {
        assert_eq!(parse(line.as_bytes()).unwrap(), expected);
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_json("QEMU 7.2.22 monitor - type 'help'")]
    #[case::cut_off(r#"{"return": {"#)]
    #[case::no_object("[]")]
    fn refuses(#[case] line: &str) {
        parse(line.as_bytes()).unwrap_err();
    }

    #[test]
    fn refuses_nesting_that_would_exhaust_the_stack() {
        parse("[".repeat(1 << 20).as_bytes()).unwrap_err();
    }

    proptest! {
        #[test]
        fn takes_any_bytes_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }
    }
}
