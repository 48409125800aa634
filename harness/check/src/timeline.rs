//! What was done to the lists and seen of them, in the order in which the guest did it, over all its boots: told by the calls
//! and what they gave, whatever a step was planned to do.

use std::collections::BTreeMap;

use super::evidence::{Evidence, ListSeen, Moment, RecordId};
use super::ledger::ALL;
use super::list_files::ListFiles;
use super::run_length::RunLength;
use imalab_formats::ima::lists::Request;
use imalab_language::plan::Action;

/// What was done to the lists, or seen of them.
#[derive(Debug)]
pub(super) enum What {
    /// A request was carried out.
    Request(Request),
    /// A list was read, the one at this place of the evidence. User space `keeps` what it read itself; a checkpoint's last
    /// reading makes a `snapshot`.
    Read { list: usize, keeps: bool, snapshot: bool },
    /// Another kernel took over.
    Kexec {
        /// Requests that were under way, with the steps that made them: of none of them a result came.
        unanswered: Vec<(usize, Request)>,
    },
}

/// One operation on the lists.
#[derive(Debug)]
pub(super) struct ListOperation {
    /// Right before its system call; the end of the boot for a kexec.
    pub(super) at: Moment,
    /// Right after it.
    pub(super) end: Moment,
    /// The step that did it.
    pub(super) step: usize,
    pub(super) what: What,
}

/// All operations in the order in which the guest did them. A writer has the lists to itself, or readers share them, so
/// the begin of the system call orders those of different tasks.
pub(super) fn of(evidence: &Evidence<'_>, files: &ListFiles<'_>) -> Vec<ListOperation> {
    let mut operations = Vec::new();
    let mut last = BTreeMap::new();
    let known = || (0..evidence.lists.len()).filter_map(|at| Some((at, read(evidence, at)?.0)));
    for (at, list) in known().filter(|(_, list)| !list.is_staged()) {
        last.insert(list.step, at);
    }
    for (at, list) in known() {
        let step = list.step;
        let checkpoint = evidence.steps[step].planned.action == Action::Checkpoint;
        let snapshot = checkpoint && last.get(&step) == Some(&at);
        let what = What::Read { list: at, keeps: !checkpoint, snapshot };
        operations.push(ListOperation { at: list.begin, end: list.begin, step, what });
    }
    let dialect = evidence.plan.dialect();
    let mut unanswered = Vec::new();
    for write in &files.writes {
        let Some(request) = dialect.request(write.file, &write.bytes).and_then(plainly) else { continue };
        match write.end {
            Some(end) => {
                let what = What::Request(request);
                operations.push(ListOperation { at: write.begin, end, step: write.step, what });
            }
            None => unanswered.push((write.begin.boot, write.step, request)),
        }
    }
    operations.extend((1..evidence.boots).map(|boot| {
        let at = Moment { boot, ns: u64::MAX };
        let of_boot = unanswered.iter().filter(|(of, ..)| *of == boot);
        let unanswered = of_boot.map(|(_, step, request)| (*step, *request)).collect();
        let step = evidence.left_by(boot).unwrap_or(evidence.steps.len());
        ListOperation { at, end: at, step, what: What::Kexec { unanswered } }
    }));
    // Stable: within a step the order of its operations stays.
    operations.sort_by_key(|operation| operation.at);
    in_numbers(evidence, &mut operations);
    operations
}

/// As what was carried out when it succeeded; nothing where no record moves.
fn plainly(request: Request) -> Option<Request> {
    match request {
        // A number of records that no list has is all of them.
        Request::StageUpTo(ALL..) => Some(Request::StageAll),
        Request::TrimIf { records: 0, .. } | Request::MarkLog => None,
        Request::TrimIf { records, .. } => Some(Request::Trim(records)),
        request => Some(request),
    }
}

/// Requests that remove what is before a mark, with the number of records that this was: as the next reading of the list shows,
/// which begins with the mark, or else the last one before.
fn in_numbers(evidence: &Evidence<'_>, operations: &mut Vec<ListOperation>) {
    let current = |operation: &ListOperation| match operation.what {
        What::Read { list, .. } => {
            read(evidence, list).filter(|(list, _)| !list.is_staged()).map(|(_, records)| records)
        }
        _ => None,
    };
    let changes = |operation: &ListOperation| !matches!(operation.what, What::Read { .. });
    for at in 0..operations.len() {
        let mark = match operations[at].what {
            What::Request(Request::TrimTo(mark)) => Some(mark),
            What::Request(Request::Purge) => None,
            _ => continue,
        };
        let before =
            operations[..at].iter().rev().take_while(|operation| !changes(operation)).find_map(current);
        let after = operations[at + 1..].iter().take_while(|operation| !changes(operation)).find_map(current);
        let seen = before
            .zip(after.and_then(|after| after.get(0)))
            .and_then(|(before, first)| before.iter().position(|record| record == first));
        let told = || {
            // Whoever purges has read what is before the mark, and not the mark.
            let Some(mark) = mark else { return before.map(RunLength::len) };
            let event = evidence.plan.dialect().mark?;
            let marks: Vec<usize> = before?
                .iter()
                .enumerate()
                .filter(|(_, id)| evidence.records.get(*id).is_mark(event))
                .map(|(at, _)| at)
                .collect();
            Some(marks[mark.place(marks.len())?])
        };
        let records = seen.or_else(told).unwrap_or(0);
        operations[at].what = What::Request(Request::Trim(records as u64));
    }
    operations.retain(|operation| !matches!(operation.what, What::Request(Request::Trim(0))));
}

/// A list that was read whole, and what it held.
pub(super) fn read<'e>(
    evidence: &'e Evidence<'_>,
    at: usize,
) -> Option<(&'e ListSeen, &'e RunLength<RecordId>)> {
    let list = evidence.lists.get(at).filter(|list| list.broken.is_none())?;
    Some((list, list.records.as_ref()?))
}

/// The list that a kernel began with, as far as anybody read it before it was changed, and the step that read it. `after`
/// is what was done in it.
pub(super) fn first_list<'e>(
    evidence: &'e Evidence<'_>,
    after: &[ListOperation],
) -> Option<(usize, &'e RunLength<RecordId>)> {
    let mut staged = false;
    for operation in after {
        match operation.what {
            What::Request(Request::StageAll) if !staged => staged = true,
            What::Read { list, .. } => match read(evidence, list) {
                Some((list, records)) if list.is_staged() == staged => {
                    return Some((operation.step, records));
                }
                _ => {}
            },
            What::Request(_) | What::Kexec { .. } => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use imalab_formats::ima::lists::Request;
    use imalab_language::plan::{Action, Interface};
    use imalab_wire::{Message, Op};

    use super::What;
    use crate::digest;
    use crate::fake_run::{FakeRun, all, critical, passed, path, value, write};
    use imalab_trace::What as Event;

    fn requests(fake: FakeRun) -> Vec<Request> {
        let (plan, trace) = fake.finish();
        let timeline = digest(&plan, &trace).timeline;
        let requests = timeline.iter().filter_map(|operation| match operation.what {
            What::Request(request) => Some(request),
            _ => None,
        });
        requests.collect()
    }

    /// Two records are staged, saved and deleted, by calls that no plan gives a meaning to.
    fn by_calls() -> FakeRun {
        let mut fake = FakeRun::new();
        fake.measure(1);
        fake.staged = Some(std::mem::take(&mut fake.current));
        fake.step("call", Action::SystemCall, write("staged", b"A\n"), vec![]);
        fake.save();
        fake.staged = None;
        let mut ops = write("staged", b"D\n");
        ops[1].0 = Op::SpliceIn { slot: 3, bytes: b"D\n".to_vec() };
        ops.insert(1, (Op::Duplicate { slot: 0, to: 3 }, value(3), Vec::new()));
        fake.step("call", Action::SystemCall, ops, vec![]);
        fake
    }

    #[test]
    fn what_calls_did_counts_whatever_they_were_planned_for() {
        assert_eq!(requests(by_calls()), [Request::StageAll, Request::Delete]);
        let (plan, trace) = by_calls().finish();
        all(&plan, &trace).iter().for_each(passed);
    }

    /// Who takes whatever is written does not look at it.
    #[test]
    fn what_was_written_from_nowhere_counts_where_nobody_looks_at_it() {
        let asks = |interface, file: &str| {
            let mut fake = FakeRun::new();
            fake.plan.interface = interface;
            fake.measure(2);
            fake.checkpoint();
            fake.log(critical("snapshot_aggregate", "Snapshot_Attempt_Count=1;"));
            if interface == Interface::SNAPSHOT {
                fake.current.drain(..3);
            }
            let ops = vec![
                (Op::Open { slot: 1, path: path(file), flags: 2, mode: 0 }, value(1), Vec::new()),
                (Op::WriteBadPointer { slot: 1, bytes: 4 }, value(4), Vec::new()),
            ];
            fake.step("call", Action::SystemCall, ops, vec![]);
            requests(fake)
        };
        assert_eq!(asks(Interface::SNAPSHOT, "snapshot"), [Request::Trim(3)]);
        assert_eq!(asks(Interface::LOG_DIGEST, "trim"), []);
    }

    #[test]
    fn who_uses_a_descriptor_has_opened_it() {
        let mut fake = by_calls();
        let opened = |event: &Event| matches!(event, Event::Guest(Message::OpDone { op: 0, step: 1, .. }));
        fake.trace.events.retain(|event| !opened(&event.what));
        assert_eq!(requests(fake), [Request::StageAll, Request::Delete]);
    }

    #[test]
    fn what_is_no_request_or_goes_elsewhere_is_none() {
        let mut fake = FakeRun::new();
        for (file, text) in [("staged", "A"), ("current", "A\n"), (&*path("count"), "1\n")] {
            fake.step("call", Action::SystemCall, write(file, text.as_bytes()), vec![]);
        }
        assert_eq!(requests(fake), []);
    }
}
