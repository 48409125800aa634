//! Whether a stream takes colours.

/// Only a terminal does that is not `TERM=dumb`, and not when `NO_COLOR` is set and not empty (no-color.org).
pub fn colour(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let capable = variable("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    let refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_terminal && capable && !refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(true, &[("TERM", "xterm")], true)]
    #[case(false, &[("TERM", "xterm")], false)]
    #[case(true, &[("TERM", "dumb")], false)]
    #[case(true, &[], false)]
    #[case(true, &[("TERM", "xterm"), ("NO_COLOR", "1")], false)]
    #[case(true, &[("TERM", "xterm"), ("NO_COLOR", "")], true)]
    fn colours(#[case] is_terminal: bool, #[case] variables: &[(&str, &str)], #[case] expected: bool) {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(colour(is_terminal, variable), expected);
    }
}
