//! What the one whole log is made of, in small stories.

use super::*;
use rstest::rstest;

/// Records from `from` up to and without `to`.
fn ids(from: u32, to: u32) -> RunLength<RecordId> {
    (from..to).map(RecordId).collect()
}

fn joined(lists: &[&RunLength<RecordId>]) -> RunLength<RecordId> {
    lists.iter().flat_map(|list| list.iter()).collect()
}

/// The list without its first records.
fn from(list: &RunLength<RecordId>, first: usize) -> RunLength<RecordId> {
    list.slice(first..list.len())
}

fn whole(ledger: &Ledger, current: &RunLength<RecordId>) -> Vec<u32> {
    let snapshot = ledger.snapshot(99, current);
    let stretches = ledger.resolve(&snapshot);
    stretches.iter().flat_map(|stretch| stretch.records.iter().map(|id| id.0)).collect()
}

fn gaps(ledger: &Ledger) -> Vec<Source> {
    let stretches = ledger.resolve(&ledger.snapshot(99, &ids(0, 0)));
    stretches
        .iter()
        .map(|stretch| stretch.source)
        .filter(|source| matches!(source, Source::Gap { .. }))
        .collect()
}

#[test]
fn saved_and_deleted_records_come_before_current_ones() {
    let mut ledger = Ledger::default();
    ledger.stage(1);
    ledger.read_staged(2, &ids(0, 5), true);
    ledger.delete(3);
    assert_eq!(whole(&ledger, &ids(5, 8)), (0..8).collect::<Vec<_>>());
    assert_eq!(gaps(&ledger), []);
}

#[test]
fn staged_records_come_before_those_trimmed_meanwhile() {
    let mut ledger = Ledger::default();
    ledger.stage(1);
    ledger.read_current(&ids(5, 9));
    ledger.trim(2, 3);
    ledger.read_staged(3, &ids(0, 5), true);
    assert_eq!(whole(&ledger, &ids(8, 10)), (0..10).collect::<Vec<_>>());
    ledger.delete(4);
    assert_eq!(whole(&ledger, &ids(8, 10)), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_trim_of_all_takes_what_was_read() {
    let mut ledger = Ledger::default();
    ledger.read_current(&ids(0, 9));
    assert_eq!(ledger.trim(1, 2), 2);
    assert_eq!(ledger.trim(2, ALL), 7);
    assert_eq!(whole(&ledger, &ids(9, 10)), (0..10).collect::<Vec<_>>());
    assert_eq!(gaps(&ledger), []);
}

#[test]
fn a_second_trim_goes_on_in_what_was_read_for_the_first() {
    let mut ledger = Ledger::default();
    ledger.read_current(&ids(0, 6));
    ledger.trim(1, 2);
    ledger.trim(2, 3);
    assert_eq!(whole(&ledger, &ids(5, 7)), (0..7).collect::<Vec<_>>());
    assert_eq!(gaps(&ledger), []);
}

#[test]
fn a_staged_list_may_be_read_after_the_snapshot() {
    let mut ledger = Ledger::default();
    ledger.stage(1);
    let early = ledger.snapshot(2, &ids(4, 6));
    ledger.read_staged(3, &ids(0, 4), true);
    ledger.delete(4);
    let sources: Vec<Source> = ledger.resolve(&early).iter().map(|stretch| stretch.source).collect();
    assert_eq!(sources, [Source::Staged(3), Source::Current(2)]);
}

#[rstest]
#[case::never_read(&|ledger: &mut Ledger| {
    ledger.stage(1);
    ledger.delete(2);
}, Source::Gap { by: 2, records: None })]
#[case::read_by_a_checkpoint_alone(&|ledger: &mut Ledger| {
    ledger.stage(1);
    ledger.read_staged(5, &ids(0, 4), false);
    ledger.delete(2);
}, Source::Gap { by: 2, records: Some(4) })]
#[case::trimmed_unread(&|ledger: &mut Ledger| { ledger.trim(3, 7); }, Source::Gap { by: 3, records: Some(7) })]
#[case::trimmed_more_than_was_read(&|ledger: &mut Ledger| {
    ledger.read_current(&ids(0, 4));
    ledger.trim(3, 7);
}, Source::Gap { by: 3, records: Some(3) })]
#[case::read_before_it_moved(&|ledger: &mut Ledger| {
    ledger.read_current(&ids(0, 4));
    ledger.stage(1);
    ledger.trim(3, 2);
}, Source::Gap { by: 3, records: Some(2) })]
fn what_nobody_saved_is_a_gap(#[case] story: &dyn Fn(&mut Ledger), #[case] gap: Source) {
    let mut ledger = Ledger::default();
    story(&mut ledger);
    assert!(gaps(&ledger).contains(&gap), "{:?}", gaps(&ledger));
}

#[rstest]
#[case(&|ledger: &mut Ledger| {
    ledger.stage(1);
    ledger.stage(2);
}, Surprise::StagedOver { step: 2 })]
#[case(&|ledger: &mut Ledger| ledger.delete(1), Surprise::DeletedNothing { step: 1 })]
#[case(
    &|ledger: &mut Ledger| ledger.read_staged(1, &ids(0, 3), true),
    Surprise::StagedFromNowhere { step: 1, records: 3 }
)]
#[case(&|ledger: &mut Ledger| {
    ledger.stage(1);
    ledger.read_staged(2, &ids(0, 3), false);
    ledger.read_staged(3, &ids(0, 2), true);
}, Surprise::StagedChanged { first: 2, then: 3, at: 2 })]
fn what_the_interface_rules_out_is_a_surprise(
    #[case] story: &dyn Fn(&mut Ledger),
    #[case] surprise: Surprise,
) {
    let mut ledger = Ledger::default();
    story(&mut ledger);
    assert_eq!(ledger.surprises(), [surprise]);
}

#[test]
fn a_kexec_carries_the_staged_list_before_the_current_one() {
    let mut ledger = Ledger::default();
    ledger.stage(1);
    ledger.read_staged(2, &ids(0, 4), true);
    ledger.kexec(8, &Loss::default());
    // Records 4 and 5 were current, 6 is new.
    assert_eq!(whole(&ledger, &ids(0, 7)), (0..7).collect::<Vec<_>>());
    assert_eq!(ledger.saved_again(), [SavedAgain { saved: 2, records: 4 }]);
    ledger.stage(3);
    ledger.read_staged(4, &ids(0, 7), true);
    ledger.delete(5);
    assert_eq!(whole(&ledger, &ids(7, 9)), (0..9).collect::<Vec<_>>());
    assert_eq!((gaps(&ledger), ledger.surprises()), (vec![], &[][..]));
}

#[test]
fn what_only_a_checkpoint_read_was_not_saved_twice() {
    let mut ledger = Ledger::default();
    ledger.stage(1);
    ledger.read_staged(2, &ids(0, 4), false);
    ledger.kexec(8, &Loss::default());
    assert_eq!(ledger.saved_again(), []);
}

#[test]
fn what_was_deleted_or_trimmed_is_not_carried() {
    let mut ledger = Ledger::default();
    ledger.stage(1);
    ledger.read_staged(2, &ids(0, 4), true);
    ledger.delete(3);
    ledger.read_current(&ids(4, 8));
    ledger.trim(4, 2);
    ledger.kexec(8, &Loss::default());
    assert_eq!(whole(&ledger, &ids(6, 10)), (0..10).collect::<Vec<_>>());
    assert_eq!(ledger.saved_again(), []);
}

/// Staged 0 to 3, trimmed 4 and 5 meanwhile; so the list of the next kernel goes from 3 to 6.
fn carried_around_a_trim() -> (Ledger, RunLength<RecordId>) {
    let mut ledger = Ledger::default();
    ledger.stage(1);
    ledger.read_staged(2, &ids(0, 4), true);
    ledger.read_current(&ids(4, 8));
    ledger.trim(3, 2);
    ledger.kexec(8, &Loss::default());
    (ledger, joined(&[&ids(0, 4), &ids(6, 9)]))
}

#[test]
fn what_was_trimmed_belongs_between_carried_records() {
    let (ledger, list) = carried_around_a_trim();
    assert_eq!(whole(&ledger, &list), (0..9).collect::<Vec<_>>());
    let sources: Vec<Source> =
        ledger.resolve(&ledger.snapshot(9, &list)).iter().map(|stretch| stretch.source).collect();
    assert_eq!(sources, [Source::Current(9), Source::Trimmed(3), Source::Current(9)]);
}

#[rstest]
#[case::staged(&|ledger: &mut Ledger, list: &RunLength<RecordId>| {
    ledger.stage(5);
    ledger.read_staged(6, list, true);
    ledger.snapshot(9, &ids(9, 11))
})]
#[case::deleted(&|ledger: &mut Ledger, list: &RunLength<RecordId>| {
    ledger.stage(5);
    ledger.read_staged(6, list, true);
    ledger.delete(7);
    ledger.snapshot(9, &ids(9, 11))
})]
#[case::trimmed_before_it(&|ledger: &mut Ledger, list: &RunLength<RecordId>| {
    ledger.read_current(list);
    ledger.trim(5, 3);
    ledger.snapshot(9, &joined(&[&from(list, 3), &ids(9, 11)]))
})]
#[case::trimmed_up_to_it(&|ledger: &mut Ledger, list: &RunLength<RecordId>| {
    ledger.read_current(list);
    ledger.trim(5, 4);
    ledger.snapshot(9, &joined(&[&from(list, 4), &ids(9, 11)]))
})]
#[case::trimmed_beyond_it(&|ledger: &mut Ledger, list: &RunLength<RecordId>| {
    ledger.read_current(list);
    ledger.trim(5, 5);
    ledger.trim(6, 1);
    ledger.snapshot(9, &joined(&[&from(list, 6), &ids(9, 11)]))
})]
#[case::carried_again(&|ledger: &mut Ledger, list: &RunLength<RecordId>| {
    ledger.stage(5);
    ledger.read_staged(6, list, true);
    ledger.read_current(&ids(9, 11));
    ledger.trim(7, 1);
    ledger.kexec(8, &Loss::default());
    ledger.snapshot(9, &joined(&[list, &ids(10, 11)]))
})]
#[case::carried_unstaged(&|ledger: &mut Ledger, list: &RunLength<RecordId>| {
    ledger.kexec(8, &Loss::default());
    ledger.snapshot(9, &joined(&[list, &ids(9, 11)]))
})]
#[case::carried_behind_others(&|ledger: &mut Ledger, list: &RunLength<RecordId>| {
    ledger.read_current(list);
    ledger.trim(5, 2);
    ledger.stage(6);
    ledger.read_staged(7, &from(list, 2), true);
    ledger.kexec(8, &Loss::default());
    ledger.snapshot(9, &joined(&[&from(list, 2), &ids(9, 11)]))
})]
fn it_keeps_its_place_whatever_comes(#[case] story: &dyn Fn(&mut Ledger, &RunLength<RecordId>) -> Snapshot) {
    let (mut ledger, list) = carried_around_a_trim();
    let snapshot = story(&mut ledger, &list);
    let stretches = ledger.resolve(&snapshot);
    let found: Vec<u32> =
        stretches.iter().flat_map(|stretch| stretch.records.iter().map(|id| id.0)).collect();
    assert_eq!(found, (0..11).collect::<Vec<_>>());
    assert_eq!(ledger.surprises(), []);
}

#[test]
fn a_snapshot_of_before_a_kexec_is_what_it_was() {
    let (mut ledger, list) = carried_around_a_trim();
    ledger.stage(5);
    ledger.read_staged(6, &list, true);
    let before = ledger.snapshot(7, &ids(9, 10));
    ledger.kexec(8, &Loss::default());
    let stretches = ledger.resolve(&before);
    let found: Vec<u32> =
        stretches.iter().flat_map(|stretch| stretch.records.iter().map(|id| id.0)).collect();
    assert_eq!(found, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_gap_across_an_inset_is_two() {
    let (mut ledger, _) = carried_around_a_trim();
    ledger.trim(5, 6);
    let sources: Vec<Source> =
        ledger.resolve(&ledger.snapshot(9, &ids(0, 0))).iter().map(|stretch| stretch.source).collect();
    let gap = |records| Source::Gap { by: 5, records: Some(records) };
    assert_eq!(sources, [gap(4), Source::Trimmed(3), gap(2)]);
}

#[test]
fn a_trim_while_an_unread_list_was_staged_has_no_place_after_a_kexec() {
    let mut ledger = Ledger::default();
    ledger.stage(1);
    ledger.read_current(&ids(4, 8));
    ledger.trim(3, 2);
    ledger.kexec(8, &Loss::default());
    assert_eq!(ledger.surprises(), [Surprise::CarriedUnread { step: 1 }]);
    let mut harmless = Ledger::default();
    harmless.stage(1);
    harmless.kexec(8, &Loss::default());
    assert_eq!(whole(&harmless, &ids(0, 7)), (0..7).collect::<Vec<_>>());
    assert_eq!(harmless.surprises(), []);
}

/// Staged 0 to 3; current 4 to 7, of which 2 may have been trimmed.
fn doubtful() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.stage(1);
    ledger.read_staged(2, &ids(0, 4), true);
    ledger.read_current(&ids(4, 8));
    ledger
}

#[rstest]
#[case::delete_lost(Request::Delete, ids(0, 9))]
#[case::delete_won(Request::Delete, ids(4, 9))]
#[case::trim_lost(Request::Trim(2), ids(0, 9))]
#[case::trim_won(Request::Trim(2), joined(&[&ids(0, 4), &ids(6, 9)]))]
fn a_doubt_is_settled_by_the_next_list(#[case] request: Request, #[case] next: RunLength<RecordId>) {
    let mut ledger = doubtful();
    assert_eq!(ledger.settle(5, request, &next).is_some(), !next.starts_with(&ids(0, 8)));
    ledger.kexec(8, &Loss::default());
    assert_eq!(whole(&ledger, &next), (0..9).collect::<Vec<_>>());
    assert_eq!((gaps(&ledger), ledger.surprises()), (vec![], &[][..]));
}

#[rstest]
#[case::nothing_was_staged(Request::Delete, true)]
#[case::nothing_was_read(Request::Trim(2), false)]
fn a_doubt_that_cannot_matter_changes_nothing(#[case] request: Request, #[case] read: bool) {
    let mut ledger = Ledger::default();
    if read {
        ledger.read_current(&ids(0, 4));
    }
    assert_eq!(ledger.settle(5, request, &ids(2, 9)), None);
    assert_eq!(whole(&ledger, &ids(2, 9)), (2..9).collect::<Vec<_>>());
}

/// Staged 0 to 3, trimmed 4 and 5 meanwhile, current 6 to 8; of the seven that are to be carried, so many are kept.
fn lossy(kept: usize) -> (Ledger, RunLength<RecordId>) {
    let mut ledger = Ledger::default();
    ledger.stage(1);
    ledger.read_staged(2, &ids(0, 4), true);
    ledger.read_current(&ids(4, 9));
    ledger.trim(3, 2);
    let all = joined(&[&ids(0, 4), &ids(6, 9)]);
    ledger.kexec(8, &Loss { kept, records: from(&all, kept) });
    (ledger, joined(&[&all.slice(0..kept), &ids(9, 11)]))
}

#[rstest]
#[case::all(0)]
#[case::some_staged(2)]
#[case::none_staged(4)]
#[case::one(6)]
#[case::none(7)]
fn what_is_lost_keeps_its_place(#[case] kept: usize) {
    let (mut ledger, list) = lossy(kept);
    assert_eq!(whole(&ledger, &list), (0..11).collect::<Vec<_>>());
    let snapshot = ledger.snapshot(9, &list);
    let stretches = ledger.resolve(&snapshot);
    let lost = stretches.iter().filter(|stretch| stretch.source == Source::Lost(8));
    assert_eq!(lost.map(|stretch| stretch.records.len()).sum::<usize>(), 7 - kept);
    ledger.stage(10);
    ledger.read_staged(11, &list, true);
    ledger.delete(12);
    assert_eq!(whole(&ledger, &ids(11, 12)), (0..12).collect::<Vec<_>>());
    assert_eq!(ledger.surprises(), []);
}

#[test]
fn what_is_lost_and_nothing_was_staged() {
    let mut ledger = Ledger::default();
    ledger.kexec(8, &Loss { kept: 3, records: ids(3, 6) });
    assert_eq!(whole(&ledger, &joined(&[&ids(0, 3), &ids(6, 8)])), (0..8).collect::<Vec<_>>());
}

#[rstest]
#[case::staged_and_deleted(&[Request::StageFirst(2), Request::Delete])]
#[case::staged_up_to_that(&[Request::StageUpTo(2), Request::Delete])]
#[case::staged_and_the_others_put_back(&[Request::StageAll, Request::DeleteFirst(2)])]
fn first_records_that_were_read_before_may_leave_by_way_of_the_staged_list(#[case] requests: &[Request]) {
    let mut ledger = Ledger::default();
    ledger.read_current(&ids(0, 5));
    for request in requests {
        ledger.request(3, *request);
    }
    ledger.trim(4, 1);
    assert_eq!(whole(&ledger, &ids(3, 6)), (0..6).collect::<Vec<_>>());
    let stretches = ledger.resolve(&ledger.snapshot(9, &ids(3, 6)));
    let sources: Vec<Source> = stretches.iter().map(|stretch| stretch.source).collect();
    assert_eq!(sources, [Source::Trimmed(3), Source::Trimmed(4), Source::Current(9)]);
    assert_eq!(ledger.surprises(), []);
}

#[rstest]
#[case::staged_and_deleted(&[Request::StageFirst(7), Request::Delete])]
#[case::staged_and_the_others_put_back(&[Request::StageAll, Request::DeleteFirst(7)])]
fn of_first_records_that_leave_so_those_that_nobody_read_are_a_gap(#[case] requests: &[Request]) {
    let mut ledger = Ledger::default();
    ledger.read_current(&ids(0, 4));
    for request in requests {
        ledger.request(3, *request);
    }
    assert_eq!(gaps(&ledger), [Source::Gap { by: 3, records: Some(3) }]);
}

#[test]
fn the_rest_of_a_saved_list_may_be_put_back() {
    let mut ledger = Ledger::default();
    ledger.stage(1);
    ledger.read_staged(2, &ids(0, 4), true);
    ledger.read_current(&ids(4, 8));
    ledger.trim(3, 2);
    ledger.request(5, Request::DeleteFirst(3));
    let list = joined(&[&ids(3, 4), &ids(6, 9)]);
    assert_eq!(whole(&ledger, &list), (0..9).collect::<Vec<_>>());
    let stretches = ledger.resolve(&ledger.snapshot(9, &list));
    let sources: Vec<Source> = stretches.iter().map(|stretch| stretch.source).collect();
    assert_eq!(sources, [Source::Saved(2), Source::Current(9), Source::Trimmed(3), Source::Current(9)]);
}
