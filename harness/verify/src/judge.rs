//! Replays records in every bank that matters and looks where they meet what a TPM said.

use imalab_formats::ima::{Bank, Digest, PCR_LIMIT, PcrValues, RecordRef, Replay, is_known_template};

use super::marks::is_boot_aggregate;
use super::quoted::QuoteTarget;
use super::setup::Setup;
use super::target::Target;
use super::verdict::{Inconsistency, UnknownTemplate};
use imalab_formats::ima::mark::Mark;

/// Names of unknown templates that are told; a list of somebody else can have any number of them.
const UNKNOWN_TEMPLATES: usize = 8;

/// Judges a list record by record, in constant memory.
pub struct Judge {
    pub(super) setup: Setup,
    /// Whether each record's digest is compared with its data; of several judges one does.
    compares: bool,
    pub(super) banks: Vec<JudgedBank>,
    pub(super) quote: Option<QuoteTarget>,
    pub(super) records: u64,
    pub(super) violations: u64,
    pub(super) inconsistent: u64,
    pub(super) first_inconsistency: Option<Inconsistency>,
    /// How many records extend PCR n, at n, and the first and the last that do.
    pub(super) pcrs: [Extended; PCR_LIMIT as usize],
    /// The last record's template, and whether its name is known: mostly the next one has the same.
    template: String,
    template_is_known: bool,
    /// Whether there is a record of the log itself.
    pub(super) marked: bool,
    pub(super) unknown_templates: Vec<UnknownTemplate>,
    pub(super) more_unknown_templates: u64,
}

/// The records that extend a PCR.
#[derive(Clone, Copy, Default)]
pub(super) struct Extended {
    pub(super) records: u64,
    pub(super) first: u64,
    pub(super) last: u64,
    /// Whether the first is a `boot_aggregate`: it is the kernel's own PCR (`CONFIG_IMA_MEASURE_PCR_IDX`), which nothing
    /// extended before.
    pub(super) boot: bool,
}

pub(super) struct JudgedBank {
    pub(super) replay: Replay,
    pub(super) target: Option<Target>,
}

impl Judge {
    /// Judges by `setup`. Without values and quote, the list is only replayed in the bank of its view.
    pub fn new(setup: Setup) -> Judge {
        let mut banks: Vec<JudgedBank> = setup
            .targets
            .iter()
            .map(|values| {
                let replay = setup.replay(values.bank());
                JudgedBank { target: Some(Target::new(values, &replay)), replay }
            })
            .collect();
        let quoted = setup.quoted.clone();
        let quoted_banks = quoted.iter().flat_map(|quoted| quoted.selection.iter().map(|(bank, _)| *bank));
        let alone = (banks.is_empty() && quoted.is_none()).then_some(setup.view);
        for bank in quoted_banks.chain(alone) {
            if !banks.iter().any(|judged| judged.replay.bank() == bank) {
                banks.push(JudgedBank { replay: setup.replay(bank), target: None });
            }
        }
        Judge {
            setup,
            compares: true,
            banks,
            quote: quoted.map(QuoteTarget::new),
            records: 0,
            violations: 0,
            inconsistent: 0,
            first_inconsistency: None,
            pcrs: [Extended::default(); PCR_LIMIT as usize],
            template: String::new(),
            template_is_known: true,
            marked: false,
            unknown_templates: Vec::new(),
            more_unknown_templates: 0,
        }
    }

    /// Judges that together do what [`Judge::new`] does: one for each bank, which need nothing of each other; a
    /// quote is about all banks at a time, and takes one judge for all.
    pub fn share_out(setup: &Setup) -> Vec<Judge> {
        if setup.quoted.is_some() || setup.targets.is_empty() {
            return vec![Judge::new(setup.clone())];
        }
        let alone = |targets: Vec<PcrValues>| Judge::new(Setup { targets, ..setup.clone() });
        let compared = setup.targets.iter().any(|values| values.bank() == setup.view);
        let mut judges: Vec<Judge> = setup.targets.iter().map(|values| alone(vec![values.clone()])).collect();
        for judge in &mut judges {
            judge.compares = judge.banks.iter().any(|judged| judged.replay.bank() == setup.view);
        }
        if !compared {
            let mut judge = alone(Vec::new());
            judge.banks.clear();
            judges.push(judge);
        }
        judges
    }

    /// Takes the next record, which begins at byte `offset` of its file.
    pub fn record(&mut self, record: RecordRef<'_>, offset: u64) {
        if self.records == 0 {
            self.begin(record);
        }
        self.records += 1;
        let violation = record.is_violation();
        self.violations += u64::from(violation);
        let mut in_view = None;
        for judged in &mut self.banks {
            let bank = judged.replay.bank();
            let digest = if self.setup.padded_sha1 {
                padded_digest(record, bank)
            } else if violation {
                Digest::ones(bank)
            } else {
                record.template_digest(bank)
            };
            if bank == self.setup.view {
                in_view = Some(digest);
            }
            judged.extend(self.records, record.pcr, &digest);
        }
        let extended = &mut self.pcrs[(record.pcr % PCR_LIMIT) as usize];
        if extended.records == 0 {
            extended.first = self.records;
            extended.boot = is_boot_aggregate(record, self.setup.order);
        }
        extended.records += 1;
        extended.last = self.records;
        if self.compares {
            if !violation && !self.setup.padded_sha1 {
                let computed = in_view.unwrap_or_else(|| record.template_digest(self.setup.view));
                if computed.as_bytes() != record.digest {
                    self.note_inconsistency(record, offset, computed);
                }
            }
            if !self.template_is_known || record.template != self.template {
                self.note_template(record.template);
            }
            self.marked |= Mark::of(record).is_some();
        }
        let (setup, banks) = (&self.setup, &self.banks);
        if let Some(quote) = self.quote.as_mut().filter(|quote| quote.quoted.covers(record.pcr)) {
            quote.after(self.records, |bank, pcr| value(setup, banks, bank, pcr));
        }
    }

    /// Looks at what is before the first record.
    fn begin(&mut self, record: RecordRef<'_>) {
        let (setup, banks) = (&self.setup, &self.banks);
        if let Some(quote) = &mut self.quote {
            quote.after(0, |bank, pcr| {
                let start = banks.iter().find(|judged| judged.replay.bank() == bank);
                match start.and_then(|judged| judged.replay.value(pcr)) {
                    Some(start) if pcr == record.pcr => start,
                    _ => value(setup, banks, bank, pcr),
                }
            });
        }
    }

    fn note_inconsistency(&mut self, record: RecordRef<'_>, offset: u64, computed: Digest) {
        self.inconsistent += 1;
        if self.first_inconsistency.is_none() {
            self.first_inconsistency = Some(Inconsistency {
                record: self.records,
                offset,
                template: record.template.to_owned(),
                listed: hex::encode(record.digest),
                computed,
            });
        }
    }

    fn note_template(&mut self, template: &str) {
        if self.template != template {
            template.clone_into(&mut self.template);
            self.template_is_known = is_known_template(template);
        }
        if self.template_is_known {
            return;
        }
        let room = self.unknown_templates.len() < UNKNOWN_TEMPLATES;
        match self.unknown_templates.iter_mut().find(|unknown| unknown.name == template) {
            Some(unknown) => unknown.records += 1,
            None if room => {
                let (name, first) = (template.to_owned(), self.records);
                self.unknown_templates.push(UnknownTemplate { name, first, records: 1 });
            }
            None => self.more_unknown_templates += 1,
        }
    }
}

impl JudgedBank {
    fn extend(&mut self, number: u64, pcr: u32, digest: &Digest) {
        self.replay.extend(pcr, digest);
        if let Some(target) = &mut self.target
            && let Some(now) = self.replay.value(pcr)
        {
            target.extended(number, pcr, &now);
        }
    }
}

/// What a kernel extends a bank with whose hash it does not compute: the SHA-1 digest, padded with zeros
/// (`ima_calc_field_array_hash`, `security/integrity/ima/ima_crypto.c`; `ima_init_digests`, `ima_queue.c`).
pub(super) fn padded_digest(record: RecordRef<'_>, bank: Bank) -> Digest {
    let sha1 =
        if record.is_violation() { Digest::ones(Bank::Sha1) } else { record.template_digest(Bank::Sha1) };
    sha1.padded_to(bank)
}

/// The value of a quoted PCR: replayed, or as a file has it when no record so far extended it and it is not told what it
/// started from, or as a reset leaves it.
pub(super) fn value(setup: &Setup, banks: &[JudgedBank], bank: Bank, pcr: u32) -> Digest {
    let Some(judged) = banks.iter().find(|judged| judged.replay.bank() == bank) else {
        return Digest::zero(bank);
    };
    let given = judged.target.as_ref().and_then(|target| target.value(pcr));
    match given {
        Some(value) if !judged.replay.was_extended(pcr) && setup.start(bank, pcr).is_none() => value,
        _ => judged.replay.value(pcr).unwrap_or(Digest::zero(bank)),
    }
}
