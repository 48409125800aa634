//! Holds the records that a kernel makes of the log itself to the records before them: where a shard begins, what was hashed.

use serde::Serialize;

use super::setup::Setup;
use imalab_formats::ima::mark::{Aggregate, LogDigest, Mark};
use imalab_formats::ima::{
    Bank, ByteOrder, Digest, FieldKind, Hasher, PCR_LIMIT, RecordRef, Replay, write_record,
};

/// Wrong ones that are told; there can be any number of them.
const TOLD: usize = 8;

/// What became of the records of the log itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Marks {
    /// How many there are.
    pub records: u64,
    /// How many of them say something that could be compared with the records before them.
    pub compared: u64,
    /// What the first ones say that is wrong.
    pub wrong: Vec<WrongMark>,
    /// How much more is.
    pub more: u64,
}

/// A record of the log itself that says something else than the records before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrongMark {
    /// Which record, from 1, over all files.
    pub record: u64,
    /// Where in its file the record begins, or what is wrong with its text, bytes.
    pub offset: u64,
    /// What of it: `text`, or what it says.
    pub of: String,
    /// What it should say.
    pub expected: String,
    /// What it says.
    pub found: String,
}

impl Marks {
    /// Whether each is as the records before it say, or they say nothing.
    pub(super) fn hold(&self) -> bool {
        self.wrong.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    fn wrong(&mut self, (record, offset): (u64, u64), of: &str, expected: String, found: String) {
        if self.wrong.len() < TOLD {
            self.wrong.push(WrongMark { record, offset, of: of.to_owned(), expected, found });
        } else {
            self.more += 1;
        }
    }
}

/// Takes all records of the list, in constant memory.
pub(super) struct Keeper {
    setup: Setup,
    found: Marks,
    records: u64,
    /// Whether the list begins with that of a kernel which was booted, and not with what one had left.
    from_boot: bool,
    banks: Vec<Banked>,
    /// The number of the last aggregate.
    number: Option<u64>,
    /// The records since the last digest, as their bytes are shown, by each algorithm.
    hashers: Vec<Hasher>,
    /// How many these are.
    since: u64,
    /// The last digest's total, if there was one.
    total: Option<u64>,
    shown: Vec<u8>,
}

/// The PCRs of a bank.
struct Banked {
    replay: Replay,
    /// Those of which the value before the next record is known.
    known: [bool; PCR_LIMIT as usize],
}

impl Banked {
    fn know(&mut self, pcr: u32) {
        if let Some(known) = self.known.get_mut(pcr as usize) {
            *known = true;
        }
    }
}

impl Keeper {
    pub(super) fn new(setup: &Setup) -> Keeper {
        let banked = |bank| Banked {
            replay: setup.replay(bank),
            known: std::array::from_fn(|pcr| {
                u32::try_from(pcr).is_ok_and(|pcr| setup.start(bank, pcr).is_some())
            }),
        };
        Keeper {
            setup: setup.clone(),
            found: Marks::default(),
            records: 0,
            from_boot: false,
            banks: Bank::ALL.map(banked).into(),
            number: None,
            hashers: Bank::ALL.map(Hasher::new).to_vec(),
            since: 0,
            total: None,
            shown: Vec::new(),
        }
    }

    /// Takes the next record, which begins at byte `offset` of its file.
    pub(super) fn record(&mut self, record: RecordRef<'_>, offset: u64) {
        self.records += 1;
        if self.records == 1 && is_boot_aggregate(record, self.setup.order) {
            // It is the kernel's own PCR, which nobody has extended before.
            self.from_boot = true;
            self.banks.iter_mut().for_each(|bank| bank.know(record.pcr));
        }
        match Mark::of(record) {
            None => {}
            Some(mark) => {
                self.found.records += 1;
                let at = (self.records, offset);
                match mark {
                    Ok(Mark::Aggregate(aggregate)) => self.aggregate(at, record.pcr, &aggregate),
                    Ok(Mark::Digest(digest)) => self.digest(at, &digest),
                    // What a trim says of itself, no list tells.
                    Ok(Mark::Trimmed(_)) => {}
                    Err(error) => {
                        let place = text_at(record, self.setup.view, offset) + error.at as u64;
                        let (of, found) = ("text", "something else".to_owned());
                        self.found.wrong((self.records, place), of, error.expected.to_owned(), found);
                    }
                }
            }
        }
        self.banks.iter_mut().for_each(|bank| bank.replay.record(record));
        self.since += 1;
        self.shown.clear();
        let digest = match record.is_violation() {
            true => Digest::zero(Bank::Sha1),
            false => record.template_digest(Bank::Sha1),
        };
        let shown = RecordRef { digest: digest.as_bytes(), ..record };
        // It came out of a list of this form, so its lengths fit; memory takes what is written.
        let _ = write_record(&mut self.shown, shown, self.setup.order);
        self.hashers.iter_mut().for_each(|hasher| hasher.update(&self.shown));
    }

    /// The number follows the one before, and each value is that of the records before.
    fn aggregate(&mut self, at: (u64, u64), own: u32, aggregate: &Aggregate) {
        let expected = self.number.map(|number| number + 1).or(self.from_boot.then_some(1));
        let mut compared = expected.is_some();
        if let Some(expected) = expected.filter(|expected| *expected != aggregate.count) {
            self.found.wrong(at, "number", expected.to_string(), aggregate.count.to_string());
        }
        self.number = Some(aggregate.count);
        for banked in &mut self.banks {
            let bank = banked.replay.bank();
            for pcr in 0..PCR_LIMIT {
                let found = aggregate.value(bank.name(), pcr);
                let Some(found) = found.and_then(|found| Digest::from_bytes(bank, found)) else { continue };
                if banked.known.get(pcr as usize) != Some(&true) {
                    banked.replay.start_at(pcr, found);
                    // From here on the records tell of IMA's own PCR; others are anybody's.
                    if pcr == own {
                        banked.know(pcr);
                    }
                    continue;
                }
                let Some(value) = banked.replay.value(pcr) else { continue };
                compared = true;
                if value != found {
                    let of = format!("{bank}:PCR{pcr}");
                    self.found.wrong(at, &of, value.to_string(), found.to_string());
                }
            }
        }
        self.found.compared += u64::from(compared);
    }

    /// It is of the records since the last one, which it covers too.
    fn digest(&mut self, at: (u64, u64), digest: &LogDigest) {
        let since = self.since;
        if let Some(total) = self.total {
            if digest.covered != since {
                self.found.wrong(at, "covered", since.to_string(), digest.covered.to_string());
            }
            let sum = total.saturating_add(digest.covered);
            if digest.total != sum {
                self.found.wrong(at, "total", sum.to_string(), digest.total.to_string());
            }
        }
        if digest.covered == since
            && let Some((algorithm, found)) = &digest.digest
            && let Some(hasher) = self.hashers.iter().find(|hasher| hasher.bank().name() == algorithm)
        {
            self.found.compared += 1;
            let expected = hasher.digest();
            if expected.as_bytes() != found {
                self.found.wrong(at, "digest", expected.to_string(), hex::encode(found));
            }
        }
        self.total = Some(digest.total);
        self.since = 0;
        self.hashers = Bank::ALL.map(Hasher::new).to_vec();
    }

    pub(super) fn done(self) -> Marks {
        self.found
    }
}

/// Where in the file the text of such a record begins: it is the last field.
fn text_at(record: RecordRef<'_>, view: Bank, offset: u64) -> u64 {
    let fields = record.fields(imalab_formats::ima::ByteOrder::Little).filter_map(Result::ok);
    let text = fields.last().map_or(0, |field| field.data.len() as u64);
    offset + record.binary_size(view) - text
}

/// Whether the record is the one that IMA begins with (`ima_add_boot_aggregate`, `security/integrity/ima/ima_init.c`).
pub(super) fn is_boot_aggregate(record: RecordRef<'_>, order: ByteOrder) -> bool {
    let names = |field: &[u8]| field.strip_suffix(b"\0").unwrap_or(field) == b"boot_aggregate";
    record.fields(order).map_while(Result::ok).any(|field| match field.id {
        Some(_) => field.kind() == FieldKind::Text && names(field.data),
        None => names(field.data),
    })
}
