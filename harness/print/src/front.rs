//! What people call this program.

/// Who starts this program for somebody says here by what name that is.
const FRONT: &str = "IMALAB_FRONT";

/// The beginning of a command that somebody can paste: `imalab`, or the name of the front door that started it.
pub fn front() -> String {
    named(std::env::var(FRONT).ok())
}

fn named(front: Option<String>) -> String {
    // It is shown, and pasted.
    let fits = |letter: char| letter.is_ascii_alphanumeric() || " -_./".contains(letter);
    front.filter(|name| !name.is_empty() && name.chars().all(fits)).unwrap_or_else(|| "imalab".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_the_front_door_when_it_can_be_pasted() {
        assert_eq!(named(None), "imalab");
        assert_eq!(named(Some("cargo xtask".into())), "cargo xtask");
        for wrong in ["", "x; reboot", "\u{1b}[2J"] {
            assert_eq!(named(Some(wrong.into())), "imalab");
        }
    }
}
