//! Findings of the check `views-agree` in words.

use super::parts::{count, described_or, list, step};
use imalab_language::finding::ViewsAgree;

pub(super) fn words(finding: &ViewsAgree) -> String {
    match finding {
        ViewsAgree::Differ {
            step: at,
            number,
            list: one,
            other_list,
            record,
            other_record,
            records,
            other_records,
        } => format!(
            "{}: record {number}: the {} shows {}, the {} shows {} ({records} and {other_records} in all)",
            step(at),
            list(one),
            described_or(record.as_ref(), "nothing"),
            list(other_list),
            described_or(other_record.as_ref(), "nothing")
        ),
        ViewsAgree::Text { step: at, list: of, number, expected, found } => format!(
            "{}: record {number}: the {} should show `{expected}`, found `{found}`",
            step(at),
            list(of)
        ),
        ViewsAgree::Longer { step: at, list: of, other_list, records } => format!(
            "{}: the {} goes on for {} after those of the {}",
            step(at),
            list(of),
            count(*records, "record"),
            list(other_list)
        ),
        ViewsAgree::WrongDigest { step: at, list: of, record, expected_digest, found_digest, more } => {
            let more = if *more == 0 { String::new() } else { format!("; so are {more} more") };
            format!(
                "{}: {}: record {} ({}): the digest of its data is {expected_digest}, the list shows {found_digest}{more}",
                step(at),
                list(of),
                record.number.unwrap_or_default(),
                record.name.as_deref().unwrap_or("?")
            )
        }
        ViewsAgree::Malformed { step: at, list: of, error } => {
            format!("{}: the {} is malformed: {error}", step(at), list(of))
        }
        ViewsAgree::NoText { step: at, list: of, number, error } => {
            format!("{}: {}: record {number} has no text: {error}", step(at), list(of))
        }
        ViewsAgree::Counter { step: at, list: of, expected, found } => format!(
            "{}: the counter of the list's records is {found}, the {} holds {}",
            step(at),
            list(of),
            count(*expected, "record")
        ),
        ViewsAgree::NotAllRead { step: at, views, views_read, counters, counters_read } => format!(
            "{}: {views_read} of {} and {counters_read} of {} were read",
            step(at),
            count(*views, "view"),
            count(*counters, "counter")
        ),
        ViewsAgree::NoFullCheckpoint {} => {
            "no quiescent checkpoint read the counter and every view of the list".to_owned()
        }
        ViewsAgree::NoRecord {} => {
            "every list was empty at each full checkpoint: no two views had a record to agree on".to_owned()
        }
    }
}
