//! `log_digest`: a digest of the records since the last one, and what was counted.

use super::{LogDigest, Marks, Said};
use crate::changes::{Change, ListChange};
use crate::evidence::{Evidence, Moment};
use crate::list_files::ListFiles;
use imalab_formats::ima::lists::Request;
use imalab_formats::ima::{Bank, Digest};
use imalab_language::finding::Value;
use imalab_wire::Op;

pub(super) fn check(marks: &mut Marks<'_, '_>, digests: &[Said<LogDigest>]) {
    if digests.is_empty() {
        return;
    }
    let spans = Spans::of(marks, digests);
    let removals = removals(marks, digests);
    let mut last: Option<&Said<LogDigest>> = None;
    for (said, span) in digests.iter().zip(spans.0) {
        counted(marks, said, last);
        removed(marks, said, &removals, span);
        let all = hashed(marks, said);
        marks.compared(all);
        last = Some(said);
    }
}

/// Each is of all records since the last one, which it covers too.
fn counted(marks: &mut Marks<'_, '_>, said: &Said<LogDigest>, last: Option<&Said<LogDigest>>) {
    let Said { place, says } = said;
    if let Some(last) = last {
        let since = Value::count(place - last.place);
        marks.says(*place, "covered", since, Value::count(says.covered));
        let sum = last.says.total.saturating_add(says.covered);
        marks.says(*place, "total", Value::count(sum), Value::count(says.total));
        return;
    }
    marks.says(*place, "covered", Value::count(says.total), Value::count(says.covered));
    // What a kernel before removed and told nobody is not counted.
    let forgotten = forgotten(marks, marks.boot(*place));
    let total = (*place as u64).saturating_sub(forgotten);
    marks.says(*place, "total", Value::count(total), Value::count(says.total));
}

/// Records that were removed before a boot began.
fn forgotten(marks: &Marks<'_, '_>, boot: u32) -> u64 {
    let before = marks.changes.iter().filter(|change| change.at.boot < boot);
    before
        .map(|change| match change.what {
            Change::Trimmed { records } => records,
            _ => 0,
        })
        .sum()
}

/// The digest is that of the records as they are shown; whether it could be compared.
fn hashed(marks: &mut Marks<'_, '_>, Said { place, says }: &Said<LogDigest>) -> bool {
    let id = marks.log.id(*place);
    let own = id.and_then(|id| marks.evidence.records.get(id).field("d-ng")).map(algorithm);
    let found = says.digest.as_ref().map_or("none", |(algorithm, _)| algorithm);
    // The algorithm is IMA's own, by which the record's text is hashed too.
    marks.says(*place, "algorithm", Value::word(own.unwrap_or_default()), Value::word(found));
    let Some((algorithm, hash)) = &says.digest else { return true };
    let Ok(bank) = algorithm.parse::<Bank>() else { return false };
    let covered = usize::try_from(says.covered).ok();
    // That there are fewer records was said of what it covers.
    let Some(from) = covered.and_then(|covered| place.checked_sub(covered)) else { return true };
    let shown: Option<Vec<Vec<u8>>> =
        (from..*place).map(|before| marks.log.shown(before, false, Bank::Sha1)).collect();
    let Some(shown) = shown else { return false };
    let parts: Vec<&[u8]> = shown.iter().map(Vec::as_slice).collect();
    let expected = Digest::of(bank, &parts).to_string();
    marks.says(*place, "digest", Value::word(expected), Value::word(hex::encode(hash)));
    true
}

/// The algorithm of a `d-ng` field: what is before the colon.
fn algorithm(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == b':').unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// What had been removed after a removal.
#[derive(Clone, Copy, Default)]
struct Removed {
    /// When it began and ended; of the first, before all, there is none.
    span: Option<(Moment, Moment)>,
    trims: u64,
    trimmed: u64,
}

/// What had been removed after each removal, from the start on. A kernel counts on from the last `log_digest` that it got from the
/// one before, and without one from nothing.
fn removals(marks: &Marks<'_, '_>, digests: &[Said<LogDigest>]) -> Vec<Removed> {
    let mut all = vec![Removed::default()];
    let (mut trims, mut trimmed, mut total) = (0, 0, 0);
    for ListChange { at, end, what, .. } in marks.changes {
        match what {
            Change::Trimmed { records } => {
                trims += 1;
                trimmed += records;
                total += records;
            }
            Change::Carried { .. } => {
                let before = |said: &&Said<LogDigest>| marks.boot(said.place) <= at.boot;
                let carried = digests.iter().rfind(before).filter(|said| said.place as u64 >= total);
                (trims, trimmed) = carried.map_or((0, 0), |said| (said.says.trims, total));
            }
            _ => continue,
        }
        all.push(Removed { span: Some((*at, *end)), trims, trimmed });
    }
    all
}

/// Both numbers are those of one moment at which the record can have come into the list.
fn removed(
    marks: &mut Marks<'_, '_>,
    Said { place, says }: &Said<LogDigest>,
    removals: &[Removed],
    (after, before): (Moment, Moment),
) {
    let least = removals.iter().rposition(|removed| removed.span.is_none_or(|(_, end)| end <= after));
    let most = removals.iter().rposition(|removed| removed.span.is_none_or(|(at, _)| at <= before));
    let possible = &removals[least.unwrap_or(0)..=most.unwrap_or(0).max(least.unwrap_or(0))];
    let (trims, trimmed) = (Value::count(says.trims), Value::count(says.trimmed));
    // Of one moment: where one number fits several, the other has to fit the same.
    let of = possible.iter().find(|removed| removed.trims == says.trims);
    marks.says(*place, "trims", range(possible.iter().map(|removed| removed.trims)), trims);
    let expected = of.map_or_else(
        || range(possible.iter().map(|removed| removed.trimmed)),
        |removed| Value::count(removed.trimmed),
    );
    marks.says(*place, "trimmed", expected, trimmed);
}

/// From the least to the most of these numbers.
fn range(numbers: impl Iterator<Item = u64> + Clone) -> Value {
    let number = |number: Option<u64>| i64::try_from(number.unwrap_or_default()).unwrap_or(i64::MAX);
    let (least, most) = (number(numbers.clone().min()), number(numbers.max()));
    if least == most { Value::Number(least) } else { Value::Range { least, most } }
}

/// For each such record after and before what it came into the list, by lists that were read and by requests for it.
struct Spans(Vec<(Moment, Moment)>);

const EVER: (Moment, Moment) = (Moment { boot: 0, ns: 0 }, Moment { boot: u32::MAX, ns: u64::MAX });

impl Spans {
    fn of(marks: &Marks<'_, '_>, digests: &[Said<LogDigest>]) -> Spans {
        let mut spans = Spans(vec![EVER; digests.len()]);
        for (said, span) in digests.iter().zip(&mut spans.0) {
            let boot = marks.boot(said.place);
            // A kexec is at the end of time.
            *span = (Moment { boot, ns: 0 }, Moment { boot, ns: u64::MAX - 1 });
        }
        spans.by_lists(marks, digests);
        spans.by_requests(marks, digests);
        spans
    }

    fn narrow(&mut self, at: usize, (after, before): (Moment, Moment)) {
        let span = &mut self.0[at];
        *span = (span.0.max(after), span.1.min(before));
    }

    /// A list has all records that came before it was read, and none that came later.
    fn by_lists(&mut self, marks: &Marks<'_, '_>, digests: &[Said<LogDigest>]) {
        for list in marks.evidence.lists.iter().filter(|list| !list.is_staged() && list.broken.is_none()) {
            let last = list.records.as_ref().and_then(|records| records.get(records.len().checked_sub(1)?));
            let Some(last) = last.and_then(|id| marks.log.only_place(id)) else { continue };
            let seen = &marks.evidence.steps[list.step].seen[usize::from(list.op)];
            let Some(ended) = seen.ended else { continue };
            for (at, said) in digests.iter().enumerate() {
                let there = said.place <= last;
                self.narrow(at, if there { (EVER.0, ended.end) } else { (list.begin, EVER.1) });
            }
        }
    }

    /// Where each record of a boot was asked for, the n-th came after the n-th request began, and before the n-th ended. On its way
    /// out a kernel adds one by itself.
    fn by_requests(&mut self, marks: &Marks<'_, '_>, digests: &[Said<LogDigest>]) {
        let evidence = marks.evidence;
        let dialect = evidence.plan.interface.dialect();
        let files = ListFiles::of(evidence);
        let asked: Vec<_> = files
            .writes
            .iter()
            .filter(|write| dialect.request(write.file, &write.bytes) == Some(Request::MarkLog))
            .filter_map(|write| Some((write.begin, write.end?)))
            .collect();
        for boot in 1..=evidence.boots {
            let (mut begins, mut ends): (Vec<_>, Vec<_>) =
                asked.iter().filter(|(begin, _)| begin.boot == boot).copied().unzip();
            begins.sort_unstable();
            ends.sort_unstable();
            let own: Vec<usize> =
                (0..digests.len()).filter(|at| marks.boot(digests[*at].place) == boot).collect();
            let left = left(evidence, boot);
            let more = own.len().checked_sub(begins.len());
            if more == Some(0) || (more == Some(1) && left.is_some()) {
                for ((at, begin), end) in own.iter().zip(&begins).zip(&ends) {
                    self.narrow(*at, (*begin, *end));
                }
                if let (Some(1), Some(left), Some(last)) = (more, left, own.last()) {
                    self.narrow(*last, (left, EVER.1));
                }
            }
        }
    }
}

/// When the guest began to leave a boot for another kernel.
fn left(evidence: &Evidence<'_>, boot: u32) -> Option<Moment> {
    let step = &evidence.steps[evidence.left_by(boot)?];
    let mut ops = step.ops.iter().zip(&step.seen);
    ops.find_map(|(op, seen)| seen.started.filter(|_| matches!(op, Op::KexecExecute)))
}
