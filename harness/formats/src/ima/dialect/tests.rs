use std::collections::BTreeSet;

use rstest::rstest;

use super::*;

#[test]
fn each_dialect_is_its_interface_and_says_whose_promises_it_has() {
    let mut documents = BTreeSet::new();
    for interface in Interface::ALL {
        let dialect = interface.dialect();
        assert_eq!(dialect.interface, interface);
        assert_eq!(interface.name().parse(), Ok(interface));
        assert!(documents.insert(dialect.document), "{interface:?}");
        // What serde writes is the name.
        assert_eq!(serde_json::to_value(interface).unwrap(), interface.name());
        // Whatever is asked for is a request in its own words.
        for asked in [dialect.stage, dialect.delete].into_iter().flatten() {
            assert!(dialect.grammar.length.contains(&asked.text.len()), "{interface:?}");
        }
    }
}

#[rstest]
#[case(Interface::Upstream, "+5", Some(5))]
#[case(Interface::Upstream, "5\n", Some(5))]
#[case(Interface::Upstream, "5\0x", Some(5))]
#[case(Interface::Upstream, "-5", None)]
#[case(Interface::Upstream, "0x5", None)]
#[case(Interface::RfcV2, "-5", Some(-5))]
#[case(Interface::RfcV2, "010", Some(10))]
#[case(Interface::RfcV2, "9223372036854775808", None)]
#[case(Interface::RfcV2Posted, "0x10", Some(16))]
#[case(Interface::RfcV2Posted, "-010", Some(-8))]
#[case(Interface::RfcV2Posted, "09", None)]
#[case(Interface::TwoCommand, "18446744073709551615", Some(18_446_744_073_709_551_615))]
fn numbers(#[case] interface: Interface, #[case] text: &str, #[case] value: Option<i128>) {
    assert_eq!(interface.dialect().grammar.number.as_ref().unwrap().value(text), value);
}
