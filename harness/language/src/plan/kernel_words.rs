//! Words of a kernel's command line that change what IMA measures, or how: what a run may expect rests on them.
//!
//! A scenario that gives such a word itself says what comes of it. Given for a whole suite, it would make sound kernels fail.

use crate::vocabulary::FLUSH;

/// What a word changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The kernel measures by a policy of its own before a run can load one.
    BootPolicy,
    /// It appraises, and may refuse what is to be measured.
    Appraisal,
    /// There is no IMA.
    Off,
    /// Digests of deleted records are forgotten, and numbers are refused.
    Flush,
    /// Warnings no longer reach the console.
    Console,
    /// The kernel no longer takes the words behind it for its own.
    Rest,
    /// It is not the word that it looks like.
    Form,
}

impl Change {
    /// What a word changes, if it does. `ima_template=`, `ima_template_fmt=` and `ima_hash=` do not count: records say
    /// themselves by which template and hash they were made, and a scenario that counts bytes gives its own.
    pub fn of(word: &str) -> Option<Change> {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        // The kernel makes no difference between these (`parameq`, `kernel/params.c`).
        match name.replace('-', "_").as_str() {
            // `security/integrity/ima/ima_policy.c`, `ima_appraise.c`, `ima_main.c`.
            "ima_policy" | "ima_tcb" => Some(Change::BootPolicy),
            "ima_appraise" | "ima_appraise_tcb" => Some(Change::Appraisal),
            "ima" if value != "on" => Some(Change::Off),
            FLUSH => Some(Change::Flush),
            // What follows is for init (`parse_args`, `kernel/params.c`).
            "__" if word == "--" => Some(Change::Rest),
            _ => silences(word).then_some(Change::Console),
        }
    }

    /// Why a whole suite cannot have the word.
    pub fn why(self) -> &'static str {
        match self {
            Change::BootPolicy => {
                "the kernel then measures by a policy of its own before a scenario has loaded one, and the records that its \
                 expectations count are others"
            }
            Change::Appraisal => "the kernel may then refuse to open what a scenario measures",
            Change::Off => "without IMA nothing is measured",
            Change::Flush => {
                "digests of deleted records are then forgotten and every trim is refused, which only scenarios expect that \
                 ask for it"
            }
            Change::Console => {
                "the kernel's warnings would not reach the console, and its health could not be judged"
            }
            Change::Rest => "the kernel would not see the words of its own that a scenario puts behind it",
            Change::Form => {
                "a word is printable ASCII, with every quote closed; the kernel would read another one, or more than one"
            }
        }
    }
}

/// Level of `KERN_WARNING` (`include/linux/kern_levels.h`); what is shown is below the console's level.
const WARNING_LEVEL: u32 = 4;

/// The console's level by a word, where it sets one (`init/main.c`).
pub fn level(word: &str) -> Option<u32> {
    match word {
        "quiet" => Some(4),
        "debug" => Some(10),
        word => word.strip_prefix("loglevel=").map(|level| level.parse().unwrap_or(0)),
    }
}

/// Whether a word keeps warnings off the console, or moves the console elsewhere.
pub fn silences(word: &str) -> bool {
    level(word).is_some_and(|level| level <= WARNING_LEVEL) || word.starts_with("console=")
}

/// The first word that no whole suite can have, and what it changes.
pub fn unfit(words: &[String]) -> Option<(&str, Change)> {
    // To `isspace` of the kernel (`lib/ctype.c`) 0x0b and 0xa0 are blanks as well; a quote that is not closed takes in
    // whatever follows (`next_arg`, `lib/cmdline.c`).
    let whole = |word: &str| {
        word.bytes().all(|byte| matches!(byte, b' '..=b'~')) && word.matches('"').count().is_multiple_of(2)
    };
    if let Some(word) = words.iter().find(|word| !whole(word)) {
        return Some((word, Change::Form));
    }
    // An argument may have blanks in it, and the kernel takes quotes away.
    let each = words.iter().flat_map(|word| word.split_ascii_whitespace());
    each.map(|word| word.trim_start_matches('"')).find_map(|word| Some((word, Change::of(word)?)))
}

/// The words of a run: those that were given for the whole suite, but for what the scenario says itself, and then its own.
///
/// Of two of one name the kernel takes the last, but of `ima_template=` and `ima_hash=` the first (`ima_template_setup`,
/// `security/integrity/ima/ima_template.c`; `hash_setup`, `ima_main.c`).
pub fn words_of(given: &[String], own: &[String]) -> Vec<String> {
    let names: Vec<String> = own.iter().map(|word| name(word)).collect();
    let others = given.iter().filter(|word| !names.contains(&name(word)));
    others.chain(own).cloned().collect()
}

/// What a word sets; a template's format is a template.
fn name(word: &str) -> String {
    let name = word.split('=').next().unwrap_or(word).replace('-', "_");
    if name == "ima_template_fmt" { "ima_template".to_owned() } else { name }
}

/// Whether the kernel measures by a policy of its own before a run can load one.
pub fn has_boot_policy<S: AsRef<str>>(words: &[S]) -> bool {
    words.iter().any(|word| Change::of(word.as_ref()) == Some(Change::BootPolicy))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::policy("ima_policy=tcb", Some(Change::BootPolicy))]
    #[case::critical_data("ima_policy=critical_data", Some(Change::BootPolicy))]
    #[case::with_a_dash("ima-policy=tcb", Some(Change::BootPolicy))]
    #[case::the_old_word("ima_tcb", Some(Change::BootPolicy))]
    #[case::appraise("ima_appraise=enforce", Some(Change::Appraisal))]
    #[case::appraise_tcb("ima_appraise_tcb", Some(Change::Appraisal))]
    #[case::off("ima=off", Some(Change::Off))]
    #[case::on("ima=on", None)]
    #[case::flush("ima_flush_htable", Some(Change::Flush))]
    #[case::template("ima_template=ima-sig", None)]
    #[case::format("ima_template_fmt=d-ng|n-ng", None)]
    #[case::hash("ima_hash=sha512", None)]
    #[case::byte_order("ima_canonical_fmt", None)]
    #[case::of_a_series("ima_anything_new=1", None)]
    #[case::root("rootflags=size=50%", None)]
    #[case::memory("crashkernel=128M", None)]
    #[case::quiet("quiet", Some(Change::Console))]
    #[case::level("loglevel=4", Some(Change::Console))]
    #[case::loud("loglevel=8", None)]
    #[case::elsewhere("console=tty0", Some(Change::Console))]
    fn words_that_change_what_is_measured_are_known(#[case] word: &str, #[case] change: Option<Change>) {
        assert_eq!(Change::of(word), change);
        let words = ["maxcpus=1".to_owned(), word.to_owned()];
        assert_eq!(unfit(&words), change.map(|change| (word, change)));
    }

    #[rstest]
    #[case::others(&["maxcpus=1"], &["ima_hash=sha256"], &["maxcpus=1", "ima_hash=sha256"])]
    #[case::the_same(&["ima_hash=sha512", "maxcpus=1"], &["ima_hash=sha256"], &["maxcpus=1", "ima_hash=sha256"])]
    #[case::a_template(&["ima-template=ima"], &["ima_template_fmt=d-ng"], &["ima_template_fmt=d-ng"])]
    fn what_a_scenario_says_itself_holds(#[case] given: &[&str], #[case] own: &[&str], #[case] all: &[&str]) {
        let words = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
        assert_eq!(words_of(&words(given), &words(own)), all);
    }

    #[rstest]
    #[case::not_closed("\"maxcpus=1", Change::Form)]
    #[case::another_blank("maxcpus=1\u{b}ima_policy=tcb", Change::Form)]
    #[case::half_a_letter_is_a_blank("maxcpus=1\u{a0}ima_policy=tcb", Change::Form)]
    #[case::control("maxcpus=1\u{1b}[31m", Change::Form)]
    #[case::line("maxcpus=1\n", Change::Form)]
    #[case::the_rest_is_for_init("--", Change::Rest)]
    #[case::the_rest_within_an_argument("maxcpus=1 --", Change::Rest)]
    fn what_hides_a_scenarios_words_is_refused(#[case] argument: &str, #[case] change: Change) {
        assert_eq!(unfit(&[argument.to_owned()]).map(|(_, change)| change), Some(change));
    }

    #[rstest]
    #[case::closed("rootflags=\"a b\"")]
    #[case::dashes("--of-init")]
    fn what_hides_nothing_is_taken(#[case] argument: &str) {
        assert_eq!(unfit(&[argument.to_owned()]), None);
    }

    #[rstest]
    #[case::several_words("maxcpus=1 ima_policy=tcb")]
    #[case::quoted("\"ima_policy=tcb critical_data\"")]
    fn a_word_is_found_within_an_argument(#[case] argument: &str) {
        assert_eq!(unfit(&[argument.to_owned()]).map(|(_, change)| change), Some(Change::BootPolicy));
    }
}
