//! Looks at folders, lists and TPM, and changes nothing.

use std::io::ErrorKind;

use imalab_ima::{Bank, Digest, LogReader};
use imalab_logview::{Candidate, Damage, Evidence, Judgement, Log, Position, ReadAt, Shard, ShardName};
use nix::errno::Errno;

use crate::keeper::{GENERATION, Keeper};
use crate::problem::{Problem, damaged, disk, kernel, unopened};
use crate::system_calls::{Folder, OpenError, SystemCalls, errno, read_list};

/// How often a PCR is read around the lists until it is the same before and after.
const LOOKS: usize = 8;

/// How many looks are taken until a record that may be on its way to the TPM is taken for one that is not.
const PATIENCE: u32 = 10;

/// The banks that are asked for a PCR's value, best first.
const BANKS: [Bank; 4] = [Bank::Sha256, Bank::Sha384, Bank::Sha512, Bank::Sha1];

/// Where the kernel's records belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// All shards are of an earlier boot.
    ColdBoot,
    /// The records of the last shard are still in the kernel.
    InKernel,
    /// The kernel's records come behind all shards.
    Behind,
}

/// A shard of the folder.
#[derive(Debug)]
pub(crate) struct Found<F> {
    pub(crate) name: ShardName,
    pub(crate) shard: Shard<F>,
}

/// Shards, oldest first, and the last one apart if it was not written to its end.
type Shards<F> = (Vec<Found<F>>, Option<ShardName>);

/// What there is.
#[derive(Debug)]
pub struct Look<F> {
    /// What the generation's file says; `None` where there is none that says something.
    pub generation: Option<u64>,
    /// Where the kernel's records belong.
    pub stand: Stand,
    /// Whether the PCR has the value that the whole log replays to.
    pub pcr_matches: bool,
    /// Whether it has that of no other log that there could be: what it does not tell for certain is archived, and never removed.
    pub(crate) certain: bool,
    /// Lists and TPM.
    pub evidence: Evidence,
    pub(crate) resets: Option<u32>,
    /// Shards of earlier boots.
    pub(crate) old: Vec<ShardName>,
    /// Shards of this one, oldest first.
    pub(crate) found: Vec<Found<F>>,
    /// The last shard, if it was not written to its end.
    pub(crate) torn: Option<ShardName>,
    pub(crate) staged: Vec<u8>,
}

impl<F: ReadAt> Look<F> {
    /// The one log, and what the shards in it amount to.
    ///
    /// # Errors
    ///
    /// [`Problem`].
    pub fn into_log(mut self) -> Result<(Log<F>, Position), Problem> {
        if self.stand == Stand::InKernel {
            self.found.pop();
        }
        let mut log = Log::new();
        let mut after = Position::start();
        for found in self.found {
            after = found.shard.after().clone();
            let text = found.name.to_string();
            log.push(found.shard.into_segment())
                .map_err(|gap| Problem::Missing(format!("before {text}: {gap}")))?;
        }
        log.set_tail(self.evidence.list)?;
        Ok((log, after))
    }

    /// The number of the shard that the log's next records will be in.
    pub(crate) fn next(&self) -> u64 {
        let counted = self.generation.unwrap_or(0);
        match (self.found.last(), self.stand) {
            (Some(open), Stand::InKernel) => open.name.number,
            (Some(last), _) => last.name.number + 1,
            (None, _) => counted,
        }
    }

    /// Reads each shard of this boot and holds it against its end and the one before it; gives how many there are.
    ///
    /// # Errors
    ///
    /// [`Problem::Damage`] or [`Problem::Missing`] for the first that does not fit.
    pub fn verify(&self) -> Result<usize, Problem> {
        let mut former = None;
        for found in &self.found {
            let sha256 = found.shard.verify().map_err(|damage| damaged(found.name, damage))?;
            if found.shard.header().former != former {
                return Err(Problem::Missing(format!(
                    "{} was written behind another shard than is there",
                    found.name
                )));
            }
            former = Some(sha256);
        }
        Ok(self.found.len())
    }
}

impl<S: SystemCalls> Keeper<S> {
    /// Looks at what there is.
    ///
    /// # Errors
    ///
    /// [`Problem`].
    pub fn look(&mut self) -> Result<Look<S::File>, Problem> {
        let generation = self.generation_on_disk()?;
        let resets =
            self.system.tpm_resets().map_err(|errno| Problem::Tpm { what: "the reset count", errno })?;
        let (mut found, torn) = self.shards(generation)?;
        let current = found.iter().rposition(|found| found.shard.header().before.place.records == 0);
        // Those before have their end: a later boot has begun its own.
        let mut old: Vec<ShardName> = found.drain(..current.unwrap_or(0)).map(|found| found.name).collect();
        let (staged, evidence) = self.evidence()?;
        let Verdict { stand, pcr_matches, certain } = self.stand(&found, (generation, resets), &evidence)?;
        if stand == Stand::ColdBoot {
            old.extend(found.drain(..).map(|found| found.name));
        } else if let Some(first) =
            found.first().filter(|first| first.shard.header().before.place.records > 0)
        {
            return Err(Problem::Missing(format!("the oldest one is {}", first.name)));
        }
        if let (Some(generation), Some(last)) = (generation, found.last())
            && generation > last.name.number + 1
        {
            let last = last.name;
            return Err(Problem::Missing(format!("{last} is the last, and the generation is {generation}")));
        }
        Ok(Look { generation, stand, pcr_matches, certain, evidence, resets, old, found, torn, staged })
    }

    pub(crate) fn generation_on_disk(&mut self) -> Result<Option<u64>, Problem> {
        let file = match self.system.open(Folder::Generation, GENERATION) {
            Err(OpenError::Errno(Errno::ENOENT)) => return Ok(None),
            file => file.map_err(unopened(Folder::Generation, GENERATION))?,
        };
        let text = file.size().and_then(|size| file.exactly(0, usize::try_from(size.min(64)).unwrap_or(64)));
        let text = text.map_err(errno).map_err(disk("read", Folder::Generation, GENERATION))?;
        let text = String::from_utf8(text).unwrap_or_default();
        Ok(text.strip_suffix('\n').and_then(|number| number.parse().ok()))
    }

    fn shards(&mut self, generation: Option<u64>) -> Result<Shards<S::File>, Problem> {
        let names = self.system.names(Folder::Shards).map_err(disk("look", Folder::Shards, ""))?;
        let mut names: Vec<ShardName> = names.iter().filter_map(|name| ShardName::parse(name)).collect();
        names.sort_unstable();
        let (mut found, mut torn): (Vec<Found<S::File>>, _) = (Vec::new(), None);
        for (index, name) in names.iter().enumerate() {
            let last = index + 1 == names.len();
            let text = name.to_string();
            let file = self.system.open(Folder::Shards, &text).map_err(unopened(Folder::Shards, &text))?;
            let shard = Shard::open(file).and_then(|shard| {
                // The others were read when they were the last.
                if last {
                    shard.verify()?;
                }
                Ok(shard)
            });
            match shard {
                Ok(shard) if fits(*name, &shard, found.last()) => found.push(Found { name: *name, shard }),
                Ok(_) => return Err(Problem::Missing(format!("{text} does not continue the one before"))),
                // Nothing was deleted for it: that comes when all of it is on the disk.
                Err(damage)
                    if last
                        && cut_short(&damage)
                        && generation.is_some_and(|generation| generation <= name.number) =>
                {
                    torn = Some(*name);
                }
                Err(damage) => return Err(damaged(*name, damage)),
            }
        }
        Ok((found, torn))
    }

    /// The staged list, and it and the current one together.
    pub(crate) fn lists(&mut self) -> Result<(Vec<u8>, Vec<u8>), Problem> {
        let staged = match self.files.staged {
            None => Vec::new(),
            Some(name) => match read_list(&mut self.system, name) {
                Err(Errno::ENOENT) => Vec::new(),
                list => list.map_err(kernel("read"))?,
            },
        };
        let current = self.files.current.clone();
        let current = read_list(&mut self.system, &current).map_err(kernel("read"))?;
        let both = [staged.as_slice(), &current].concat();
        Ok((staged, both))
    }

    /// The staged list, and both lists together with the PCR's value.
    fn evidence(&mut self) -> Result<(Vec<u8>, Evidence), Problem> {
        let mut before = self.pcr()?;
        let mut looks = LOOKS;
        loop {
            let (staged, list) = self.lists()?;
            let after = self.pcr()?;
            looks -= 1;
            if before == after || looks == 0 {
                let in_flight = if before == after { 1 } else { u64::MAX };
                return Ok((staged, Evidence { list, pcr: before, in_flight }));
            }
            before = after;
        }
    }

    /// The PCR in the best bank that the TPM has; `None` without a TPM. A TPM that does not answer is none of the two.
    fn pcr(&mut self) -> Result<Option<(u32, Digest)>, Problem> {
        let pcr = self.settings.pcr;
        for bank in BANKS {
            let value =
                self.system.pcr(bank, pcr).map_err(|errno| Problem::Tpm { what: "the PCR", errno })?;
            if let Some(value) = value {
                return Ok(Some((pcr, value)));
            }
        }
        Ok(None)
    }

    fn stand(
        &mut self,
        found: &[Found<S::File>],
        (generation, resets): (Option<u64>, Option<u32>),
        evidence: &Evidence,
    ) -> Result<Verdict, Problem> {
        let Some(last) = found.last() else {
            let fits = evidence.fits(&Position::start())?;
            return Ok(Verdict { stand: Stand::Behind, pcr_matches: fits, certain: fits });
        };
        let header = last.shard.header();
        let reset = match (header.tpm_resets, resets) {
            (Some(then), Some(now)) => then != now,
            (Some(_), None) => return Err(Problem::TpmGone(last.name.to_string())),
            (None, _) => false,
        };
        let records = last.shard.records().map_err(|error| damaged(last.name, error.into()))?;
        // There is none behind it, and the generation does not count it: its records may be where they were.
        let open = generation.is_none_or(|generation| generation <= last.name.number);
        let open = open && evidence.list.starts_with(&records);
        let anew = begins_anew(&evidence.list);
        // Without a shard before the open one both are the same log, and the count tells them apart.
        let same = open && header.before == Position::start();
        let mut candidates = vec![Candidate { name: Stand::Behind, from: last.shard.after().clone() }];
        if open && !(same && reset) {
            candidates.push(Candidate { name: Stand::InKernel, from: header.before.clone() });
        }
        if reset || anew && !same {
            candidates.push(Candidate { name: Stand::ColdBoot, from: Position::start() });
        }
        let (stand, pcr_matches, certain) = match evidence.judge(candidates)? {
            Judgement::Close(_) if self.looks < PATIENCE => {
                self.looks += 1;
                return Err(Problem::Undecided);
            }
            Judgement::Decided(stand) => (stand, true, true),
            Judgement::Close(stand) => (stand, true, false),
            // There is no TPM, or it missed a record, or the kernel lost some: what the records look like has to do.
            // The count alone says little: TPM2_Clear sets it to 0 while PCRs go on (TPM 2.0 Library Part 2, 10.11.1), and a TPM
            // Restart sets PCRs back and leaves it (Part 3, 9.3).
            Judgement::Silent if anew && reset => (Stand::ColdBoot, false, false),
            Judgement::Silent if open => (Stand::InKernel, false, false),
            Judgement::Silent if anew && header.tpm_resets.is_none() => (Stand::ColdBoot, false, false),
            Judgement::Silent => (Stand::Behind, false, false),
        };
        Ok(Verdict { stand, pcr_matches, certain })
    }
}

/// Where the kernel's records belong, and how well that is known.
struct Verdict {
    stand: Stand,
    pcr_matches: bool,
    certain: bool,
}

/// Whether a file looks as one does that was not written to its end. One that cannot be read may be whole.
fn cut_short(damage: &Damage) -> bool {
    match damage {
        Damage::Io(error) => error.kind() == ErrorKind::UnexpectedEof,
        Damage::Block(_) | Damage::Records(_) | Damage::Digest { .. } => true,
        Damage::Sums => false,
    }
}

/// Whether a shard is what its name says and goes on from the one before it, or begins a boot.
fn fits<F: ReadAt>(name: ShardName, shard: &Shard<F>, before: Option<&Found<F>>) -> bool {
    let header = shard.header();
    let itself = header.number == name.number && header.before.place.records == name.first;
    // What nothing came before has extended no PCR.
    let starts = header.before == Position::start() && header.former.is_none();
    let follows = match before {
        Some(before) => header.before == *before.shard.after() && name.number == before.name.number + 1,
        // Those before it were put away, and with them it will be.
        None => header.before.place.records > 0,
    };
    itself && (starts || follows)
}

/// Whether a list begins as that of a kernel which was given none.
fn begins_anew(list: &[u8]) -> bool {
    let mut reader = LogReader::new(list, Bank::Sha1);
    match reader.next_record() {
        // A name of its own and not the end of a path, which anybody could give a file.
        Ok(Some(record)) => record.data.windows(15).any(|part| part == b"\0boot_aggregate"),
        _ => false,
    }
}
