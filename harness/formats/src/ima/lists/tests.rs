//! What operations do to lists, and that no record is lost, doubled or out of order in them, whatever they are made of.

use proptest::prelude::*;

use super::*;
use crate::Interface;
use crate::ima::Bank;
use crate::ima::dialect::Seen;
use crate::ima::model::{Access, Call, File, Found, HashTable, Kernel, ListFile, Log, Rules, Setup, Written};

const INIT: Namespace = Namespace::INIT;

/// The lists of a kernel that has measured so many records.
fn measured(records: u32) -> Lists<Vec<u32>> {
    let mut lists = Lists::new();
    lists.append(ListId::CURRENT, (0..records).collect());
    lists
}

fn both(lists: &Lists<Vec<u32>>) -> (Vec<u32>, Vec<u32>) {
    (lists.get(ListId::STAGED).clone(), lists.get(ListId::CURRENT).clone())
}

#[test]
fn requests_move_the_first_records() {
    let mut lists = measured(6);
    let moved = lists.carry_out(INIT, Request::StageFirst(2));
    let staged = Moved { from: ListId::CURRENT, to: To::Behind(ListId::STAGED), records: vec![0, 1] };
    assert_eq!(moved, [staged]);
    lists.carry_out(INIT, Request::Trim(1));
    assert_eq!(both(&lists), (vec![0, 1], vec![3, 4, 5]));
    let moved = lists.carry_out(INIT, Request::DeleteFirst(1));
    assert_eq!(moved[0], Moved { from: ListId::STAGED, to: To::Out, records: vec![0] });
    assert_eq!(moved[1], Moved { from: ListId::STAGED, to: To::Before(ListId::CURRENT), records: vec![1] });
    assert_eq!(both(&lists), (vec![], vec![1, 3, 4, 5]));
    lists.carry_out(INIT, Request::StageUpTo(9));
    assert_eq!(both(&lists), (vec![1, 3, 4, 5], vec![]));
    assert_eq!(lists.carry_out(INIT, Request::Delete)[0].records, [1, 3, 4, 5]);
    assert_eq!(lists.carry_out(INIT, Request::TrimAll)[0].records, [0; 0]);
}

#[test]
fn a_kexec_carries_staged_records_first_and_may_lose_the_last() {
    let mut lists = measured(5);
    lists.carry_out(INIT, Request::StageFirst(3));
    lists.carry_out(INIT, Request::Trim(1));
    let mut all = lists.clone();
    all.kexec(Loss::default());
    assert_eq!(both(&all), (vec![], vec![0, 1, 2, 4]));
    let moved = lists.kexec(Loss { kept: 1, lost: 2 });
    assert_eq!(moved[1], Moved { from: ListId::CURRENT, to: To::Out, records: vec![1, 2] });
    assert_eq!(both(&lists), (vec![], vec![0, 4]));
}

#[test]
fn each_namespace_has_lists_of_its_own_and_a_kexec_carries_those_of_the_first() {
    let mut lists = measured(2);
    let child = Namespace(7);
    let current = ListId { namespace: child, kind: Kind::Current };
    lists.append(current, vec![70, 71]);
    lists.carry_out(child, Request::StageFirst(1));
    assert_eq!(both(&lists), (vec![], vec![0, 1]));
    assert_eq!(lists.get(ListId { kind: Kind::Staged, ..current }), &[70]);
    lists.kexec(Loss::default());
    assert_eq!((both(&lists), lists.get(current)), ((vec![], vec![0, 1]), &vec![]));
}

#[test]
fn of_an_unknown_length_nothing_is_known_until_it_is_gone() {
    let mut lists: Lists<Length> = Lists::new();
    lists.append(ListId::CURRENT, Length(None));
    lists.append(ListId::CURRENT, Length(Some(3)));
    lists.carry_out(INIT, Request::StageAll);
    let lengths = |lists: &Lists<Length>| (lists.get(ListId::STAGED).0, lists.get(ListId::CURRENT).0);
    assert_eq!(lengths(&lists), (None, Some(0)));
    lists.append(ListId::CURRENT, Length(Some(4)));
    lists.carry_out(INIT, Request::Delete);
    assert_eq!(lengths(&lists), (Some(0), Some(4)));
}

/// What happens to a kernel.
#[derive(Clone, Debug)]
enum Happens {
    Measured(u8),
    /// These bytes are written to a list's file.
    Written(Kind, String),
    Kexec,
}

fn happens() -> impl Strategy<Value = Happens> {
    let file = prop_oneof![Just(Kind::Current), Just(Kind::Staged)];
    let text = prop_oneof![
        Just("A\n".to_owned()),
        Just("D\n".to_owned()),
        Just("9223372036854775807\n".to_owned()),
        (1..6_u8).prop_map(|number| format!("{number}\n")),
        (1..6_u8).prop_map(|number| format!("-{number}\n")),
    ];
    prop_oneof![
        2 => (1..5_u8).prop_map(Happens::Measured),
        6 => (file, text).prop_map(|(file, text)| Happens::Written(file, text)),
        1 => Just(Happens::Kexec),
    ]
}

/// No record is like another.
struct Plain;

impl Log for Plain {
    fn bytes(&self, _: ListFile, records: &Ranges) -> Option<u64> {
        Some(records.len() as u64)
    }

    fn is_violation(&self, _: usize) -> bool {
        false
    }

    fn is_mark(&self, _: usize, _: &str) -> bool {
        false
    }

    fn same_before(&self, _: usize) -> Option<usize> {
        None
    }
}

/// The lists of a kernel in several forms.
struct Followed {
    records: Lists<Vec<usize>>,
    places: Lists<Ranges>,
    lengths: Lists<Length>,
    out: Vec<usize>,
    total: usize,
}

impl Followed {
    fn append(&mut self) {
        self.records.append(ListId::CURRENT, vec![self.total]);
        self.places.get_mut(ListId::CURRENT).push(self.total..self.total + 1);
        self.lengths.append(ListId::CURRENT, Length(Some(1)));
        self.total += 1;
    }

    fn carry_out(&mut self, request: Request) {
        let out = self.records.carry_out(INIT, request);
        self.out.extend(out.into_iter().filter(|moved| moved.to == To::Out).flat_map(|moved| moved.records));
        self.places.carry_out(INIT, request);
        self.lengths.carry_out(INIT, request);
    }

    fn kexec(&mut self) {
        self.records.kexec(Loss::default());
        self.places.kexec(Loss::default());
        self.lengths.kexec(Loss::default());
    }

    /// That every form says the same, and that every record is in one place.
    fn agree(&self) {
        let mut all = self.out.clone();
        for id in [ListId::STAGED, ListId::CURRENT] {
            let records = self.records.get(id);
            assert_eq!(&self.places.get(id).iter().collect::<Vec<_>>(), records);
            assert_eq!(self.lengths.get(id).0, Some(records.len() as u64));
            assert!(records.is_sorted(), "{records:?}");
            all.extend(records);
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..self.total));
    }
}

proptest! {
    /// Whatever the reference model says was carried out of what was written to a kernel of any interface moves what the
    /// model's own files then show.
    #[test]
    fn lists_are_what_the_reference_model_shows(
        interface in prop::sample::select(Interface::KNOWN),
        story in prop::collection::vec(happens(), 1..40),
    ) {
        let setup = Setup { table: HashTable::Kept, interface, seen: Seen::default(), violations: 0 };
        let mut kernel = Kernel::new(setup, Rules::default());
        let mut followed = Followed {
            records: Lists::new(),
            places: Lists::new(),
            lengths: Lists::new(),
            out: Vec::new(),
            total: 0,
        };
        let file = |kind| ListFile { ascii: false, bank: Bank::Sha1, list: ListId::of(kind) };
        for what in story {
            match what {
                Happens::Measured(records) => (0..records).for_each(|_| {
                    kernel.record(&Plain);
                    followed.append();
                }),
                Happens::Kexec => {
                    kernel.kexec(setup, 0);
                    followed.kexec();
                }
                Happens::Written(kind, text) => {
                    if kind == Kind::Staged && interface.dialect().staged.is_none() {
                        continue;
                    }
                    let access = Access { read: true, write: true };
                    let open = Call::Open { slot: 0, file: File::List(file(kind)), access, odd: false };
                    let written = Written::Bytes(text.as_bytes());
                    let write = Call::Write { slot: 0, written, at: None };
                    let length = Found::Value(text.len() as i64);
                    for (call, found) in [(open, Found::Value(0)), (write, length)] {
                        // What may not have happened has not.
                        let Ok(effect) = kernel.judge(&Plain, 0, call, found) else { break };
                        kernel.apply(0, effect);
                        if let crate::ima::model::Effect::Request(request) = effect {
                            followed.carry_out(request);
                        }
                    }
                    if let Ok(effect) = kernel.judge(&Plain, 0, Call::Close { slot: 0 }, Found::Value(0)) {
                        kernel.apply(0, effect);
                    }
                }
            }
            followed.agree();
            for kind in [Kind::Current, Kind::Staged] {
                prop_assert_eq!(kernel.shows(file(kind)), followed.places.get(ListId::of(kind)));
            }
        }
    }
}
