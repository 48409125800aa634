//! What a program's IMA policy lets one say of records before they are seen.

use imalab_wire::Op;

use imalab_formats::ima::model::File;
use imalab_language::plan::{Plan, has_boot_policy};

/// Functions by which nothing is measured unless a task asks for it in an operation that is known to.
const ASKED_FOR: [&str; 8] = [
    "BPRM_CHECK",
    "MMAP_CHECK",
    "MODULE_CHECK",
    "FIRMWARE_CHECK",
    "KEXEC_KERNEL_CHECK",
    "KEXEC_INITRAMFS_CHECK",
    "POLICY_CHECK",
    "CRITICAL_DATA",
];

/// What is known of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// Opening a file of a tmpfs for reading measures it.
    pub(super) measures: bool,
    /// Nothing else is measured but by operations that are known to.
    pub(super) quiet: bool,
}

impl Policy {
    pub(super) fn of(plan: &Plan) -> Policy {
        let tasks = plan.program.tasks.iter().flat_map(|task| &task.steps).chain(&plan.program.finally);
        let file = |path: &str| plan.interface.dialect().file(path);
        let loads = |op: &Op| matches!(op, Op::Open { path, .. } if file(path) == File::Policy);
        if tasks.flat_map(|step| &step.ops).any(loads) || has_boot_policy(&plan.machine.kernel_args) {
            return Policy { measures: false, quiet: false };
        }
        let text = String::from_utf8_lossy(&plan.program.setup.policy);
        let mut policy = Policy::of_text(&text);
        // An interface that marks the log does so when it is time, whoever measures.
        policy.quiet &= plan.interface.dialect().mark.is_none() || !text.contains("CRITICAL_DATA");
        policy
    }

    fn of_text(text: &str) -> Policy {
        let mut policy = Policy { measures: false, quiet: true };
        for rule in text.lines().map(str::trim).filter(|rule| !rule.is_empty() && !rule.starts_with('#')) {
            let mut words = rule.split_ascii_whitespace();
            let action = words.next();
            let conditions: Vec<(&str, &str)> =
                words.map(|word| word.split_once('=').unwrap_or((word, ""))).collect();
            let of = |key: &str| conditions.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
            let only = |keys: &[&str]| conditions.iter().all(|(name, _)| keys.contains(name));
            match (action, of("func")) {
                (Some("measure"), Some(func)) if ASKED_FOR.contains(&func) => {}
                (Some("measure"), Some("FILE_CHECK")) if of("fsname") == Some("tmpfs") => {
                    policy.measures |= only(&["func", "fsname", "mask", "pcr", "template"])
                        && of("mask") == Some("MAY_READ");
                }
                _ => return Policy { measures: false, quiet: false },
            }
        }
        // Without a rule the kernel keeps what it booted with.
        policy.quiet &= !text.trim().is_empty();
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imalab_language::vocabulary::DEFAULT_POLICY;
    use rstest::rstest;

    #[rstest]
    #[case::ours(DEFAULT_POLICY, true, true)]
    #[case::with_a_template(
        "measure func=FILE_CHECK mask=MAY_READ fsname=tmpfs template=ima-sig",
        true,
        true
    )]
    #[case::and_programs(
        "measure func=BPRM_CHECK\nmeasure func=FILE_CHECK mask=MAY_READ fsname=tmpfs pcr=11",
        true,
        true
    )]
    #[case::of_some_users("measure func=FILE_CHECK mask=MAY_READ fsname=tmpfs uid=7", false, true)]
    #[case::of_all_files("measure func=FILE_CHECK mask=MAY_READ", false, false)]
    #[case::but_not(
        "dont_measure fsname=tmpfs\nmeasure func=FILE_CHECK mask=MAY_READ fsname=tmpfs",
        false,
        false
    )]
    #[case::none("", false, false)]
    fn a_policy_says_what_is_measured(#[case] text: &str, #[case] measures: bool, #[case] quiet: bool) {
        assert_eq!(Policy::of_text(text), Policy { measures, quiet });
    }
}
