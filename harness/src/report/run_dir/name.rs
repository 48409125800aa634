//! A run's folder name.

use sha2::{Digest, Sha256};

use crate::run_id::RunId;

/// Longest name in bytes. File systems take 255 (`NAME_MAX`); a number and a reader's own suffixes need some.
const LIMIT: usize = 160;
/// Bytes of the digest that tell apart what the readable part no longer does.
const DIGEST_BYTES: usize = 5;

/// `stage-once+banks=sha1+mainline`. Of ASCII letters, digits and `-_.=+` alone; where that, or the length, lost
/// something, a digest of the whole identity ends the name, so that no two runs share one.
pub(super) fn of(id: &RunId) -> String {
    let mut parts = vec![id.scenario.replace('/', "-")];
    parts.extend(id.parameters.iter().map(|(key, value)| format!("{key}={value}")));
    parts.push(id.kernel.clone());
    if id.repeat > 1 {
        parts.push(format!("r{}", id.repeat));
    }
    let safe: Vec<String> = parts.iter().map(|part| sanitise(part)).collect();
    // Only these are undone by a reader without a doubt: one scenario `a/b`, never `a-b`.
    let exact = safe == parts && !id.scenario.contains('-') && !parts.iter().any(|part| part.contains('+'));
    let name = safe.join("+");
    if exact && name.len() <= LIMIT {
        return name;
    }
    let mut digest = Sha256::new();
    for part in [&id.scenario, &id.kernel] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    for (key, value) in &id.parameters {
        digest.update((key.len() as u64).to_be_bytes());
        digest.update(key);
        digest.update((value.len() as u64).to_be_bytes());
        digest.update(value);
    }
    digest.update(id.repeat.to_be_bytes());
    let digest = hex::encode(&digest.finalize()[..DIGEST_BYTES]);
    let head: String = name.chars().take(LIMIT - digest.len() - 1).collect();
    format!("{head}~{digest}")
}

/// Everything else becomes `_`; a leading dot would hide the folder or name its parent.
fn sanitise(part: &str) -> String {
    let mut safe: String = part
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=') { c } else { '_' })
        .collect();
    if safe.starts_with('.') || safe.starts_with('-') {
        safe.replace_range(..1, "_");
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn id(scenario: &str, parameters: &[(&str, &str)], kernel: &str, repeat: u32) -> RunId {
        RunId {
            scenario: scenario.to_owned(),
            parameters: parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            kernel: kernel.to_owned(),
            repeat,
        }
    }

    #[rstest]
    #[case(id("stage/once", &[], "mainline", 1), "stage-once+mainline")]
    #[case(id("stage/once", &[("banks", "sha1"), ("cpus", "2")], "7.3", 12), "stage-once+banks=sha1+cpus=2+7.3+r12")]
    fn is_readable_when_nothing_is_lost(#[case] id: RunId, #[case] name: &str) {
        assert_eq!(of(&id), name);
    }

    #[rstest]
    #[case(id("../../etc/passwd", &[], "k", 1))]
    #[case(id("..", &[], "..", 1))]
    #[case(id("stage/once", &[("a", "x/../../y\n")], "/", 1))]
    #[case(id("-rf", &[], "", 1))]
    #[case(id(&"long/".repeat(200), &[("ü", "ß\0")], "k", u32::MAX))]
    fn is_one_plain_component(#[case] id: RunId) {
        let name = of(&id);
        assert!(name.len() <= LIMIT && !name.starts_with(['.', '-']), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.=+~".contains(c)), "{name}");
    }

    fn any_id() -> impl Strategy<Value = RunId> {
        let part = "[a-c./+=_~-]{0,6}";
        (part, proptest::collection::btree_map(part, part, 0..3), part, 1_u32..4)
            .prop_map(|(scenario, parameters, kernel, repeat)| RunId { scenario, parameters, kernel, repeat })
    }

    proptest! {
        #[test]
        fn two_runs_never_share_one(a in any_id(), b in any_id()) {
            prop_assert_eq!(a == b, of(&a) == of(&b), "{} {}", of(&a), of(&b));
        }
    }
}
