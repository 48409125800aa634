//! Order of Debian package versions (Debian Policy, section 5.6.12).

use std::cmp::Ordering;

/// Compares two versions as dpkg does: `7.3~rc7-1` is older than `7.3.4-1`.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (split(a), split(b));
    a.0.cmp(&b.0).then_with(|| compare_part(a.1, b.1)).then_with(|| compare_part(a.2, b.2))
}

/// Epoch, upstream version, Debian revision.
fn split(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch.parse().unwrap_or(0), upstream, revision)
}

fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let (text_a, text_b) =
            (take(&mut a, |byte| !byte.is_ascii_digit()), take(&mut b, |byte| !byte.is_ascii_digit()));
        let order = compare_text(text_a, text_b);
        if order.is_ne() {
            return order;
        }
        let (digits_a, digits_b) =
            (take(&mut a, |byte| byte.is_ascii_digit()), take(&mut b, |byte| byte.is_ascii_digit()));
        let (digits_a, digits_b) = (digits_a.trim_start_matches('0'), digits_b.trim_start_matches('0'));
        let order = digits_a.len().cmp(&digits_b.len()).then_with(|| digits_a.cmp(digits_b));
        if order.is_ne() {
            return order;
        }
        if a.is_empty() && b.is_empty() {
            return Ordering::Equal;
        }
    }
}

fn take<'a>(rest: &mut &'a str, wanted: impl Fn(u8) -> bool) -> &'a str {
    let end = rest.bytes().position(|byte| !wanted(byte)).unwrap_or(rest.len());
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}

/// A tilde sorts before the end of the part, letters before everything else.
fn compare_text(a: &str, b: &str) -> Ordering {
    let rank = |byte: Option<u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(letter),
        Some(other) => i32::from(other) + 256,
    };
    let length = a.len().max(b.len());
    (0..length)
        .map(|at| rank(a.as_bytes().get(at).copied()).cmp(&rank(b.as_bytes().get(at).copied())))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::patch_level("7.3.4-1", "7.3.10-1")]
    #[case::backport_before_its_origin("7.3.4-1~bpo13+1", "7.3.4-1")]
    #[case::release_candidate("7.3~rc7-1~exp1", "7.3.4-1~bpo13+1")]
    #[case::release_candidate_before_release("7.3~rc7-1", "7.3-1")]
    #[case::revision("6.12.94-1", "6.12.94-2")]
    #[case::epoch("9.9-1", "1:0.1-1")]
    #[case::plus_after_letter("1.0a", "1.0+")]
    #[case::end_before_letter("1.0", "1.0a")]
    fn older_before_newer(#[case] older: &str, #[case] newer: &str) {
        assert_eq!(compare(older, newer), Ordering::Less);
        assert_eq!(compare(newer, older), Ordering::Greater);
    }

    #[rstest]
    #[case("7.3.4-1", "7.3.4-1")]
    #[case::leading_zeros("7.03-1", "7.3-1")]
    #[case::no_revision("1.0", "1.0-")]
    fn the_same(#[case] a: &str, #[case] b: &str) {
        assert_eq!(compare(a, b), Ordering::Equal);
    }
}
