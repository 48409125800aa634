//! What the subject of a mail says about a patch: `[RFC PATCH v3 02/10] ima: …`.

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Subject<'a> {
    /// Whether it is an answer to another mail.
    pub(super) reply: bool,
    /// The version of the series; 1 when the subject has none.
    pub(super) version: u32,
    /// Number of the patch, and of how many.
    pub(super) number: Option<(u32, u32)>,
    /// What stands after the brackets.
    pub(super) text: &'a str,
}

impl<'a> Subject<'a> {
    /// Takes a subject apart; lists put brackets of their own before those of `git format-patch`.
    pub(super) fn of(subject: &'a str) -> Self {
        let mut found = Self { version: 1, text: subject.trim(), ..Self::default() };
        // "Re:" in the languages of mail programs.
        let answers = |text: &str| ["re:", "aw:", "sv:", "antw:"].iter().any(|word| starts(text, word));
        while let Some(rest) =
            found.text.split_once(':').filter(|_| answers(found.text)).map(|(_, rest)| rest.trim_start())
        {
            found.reply = true;
            found.text = rest;
        }
        while let Some((tag, rest)) = found.text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            for word in tag.split(|letter: char| letter.is_whitespace() || letter == ',') {
                if let Some((number, of)) = word.split_once('/')
                    && let (Ok(number), Ok(of)) = (number.parse(), of.parse())
                {
                    found.number = Some((number, of));
                } else if let Some(version) = word.trim_start_matches("PATCH").strip_prefix(['v', 'V'])
                    && let Ok(version) = version.parse()
                {
                    found.version = version;
                }
            }
            found.text = rest.trim_start();
        }
        found
    }
}

fn starts(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("[PATCH 1/2] ima: a", 1, Some((1, 2)), "ima: a")]
    #[case("[PATCH v3 02/10] ima: a", 3, Some((2, 10)), "ima: a")]
    #[case("[RFC PATCH v2 0/3] ima: [x] a", 2, Some((0, 3)), "ima: [x] a")]
    #[case("[linux-integrity] [PATCHv4 1/1] a", 4, Some((1, 1)), "a")]
    #[case("[PATCH] ima: 1/2", 1, None, "ima: 1/2")]
    #[case("ima: a", 1, None, "ima: a")]
    #[case("", 1, None, "")]
    fn subjects(
        #[case] subject: &str,
        #[case] version: u32,
        #[case] number: Option<(u32, u32)>,
        #[case] text: &str,
    ) {
        assert_eq!(Subject::of(subject), Subject { reply: false, version, number, text });
    }

    #[rstest]
    #[case("Re: [PATCH 1/2] a")]
    #[case("AW: RE: [PATCH 1/2] a")]
    fn answers(#[case] subject: &str) {
        let subject = Subject::of(subject);
        assert!(subject.reply);
        assert_eq!(subject.number, Some((1, 2)));
    }
}
