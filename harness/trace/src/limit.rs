//! How much a run may tell. Pure.
//!
//! A guest can print, send and ask without end, and what it says is kept: beyond these limits it is a flood, the rest is
//! dropped, and the run ends. They are far above what any scenario needs (the longest runs tell some thousand lines and a few
//! million TPM commands) and small enough that all of them together stay within the memory that a machine may take of its host
//! (`docs/architecture.md`, "Trust").

use std::fmt;

use imalab_wire::{Message, Op};
use serde::{Deserialize, Serialize};

use super::{Host, What};

/// What a guest can flood a run with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flood {
    /// Lines of the serial console.
    Console,
    /// The agent's messages but data.
    Messages,
    /// Pieces of what the agent read.
    Data,
    /// TPM commands and their answers.
    Tpm,
    /// Events of QEMU's monitor.
    Monitor,
    /// What the harness itself reads at marks.
    Marks,
    /// What the harness notices, such as malformed TPM commands.
    Notices,
}

/// How many, and bytes of them in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many there may be.
    pub count: u64,
    /// Bytes that they may have together.
    pub bytes: u64,
}

const MIB: u64 = 1024 * 1024;

impl Flood {
    /// All kinds.
    pub const ALL: [Flood; 7] = [
        Flood::Console,
        Flood::Messages,
        Flood::Data,
        Flood::Tpm,
        Flood::Monitor,
        Flood::Marks,
        Flood::Notices,
    ];

    /// What a run may have of it. Data and TPM commands go to the disk, all else stays in memory.
    #[must_use]
    pub const fn quota(self) -> Quota {
        let (count, bytes) = match self {
            Flood::Console => (200_000, 16 * MIB),
            // The longest program that can be handed over has some 300,000 operations of two messages each.
            Flood::Messages => (700_000, 16 * MIB),
            // Ten times the ASCII list of a million records.
            Flood::Data => (2_000_000, 2048 * MIB),
            Flood::Tpm => (4_000_000, 2048 * MIB),
            Flood::Monitor => (4_096, MIB),
            Flood::Marks => (20_000, 16 * MIB),
            Flood::Notices => (10_000, 4 * MIB),
        };
        Quota { count, bytes }
    }

    const fn name(self) -> &'static str {
        match self {
            Flood::Console => "lines on its console",
            Flood::Messages => "messages of its agent",
            Flood::Data => "pieces of data from its agent",
            Flood::Tpm => "TPM commands",
            Flood::Monitor => "events of QEMU's monitor",
            Flood::Marks => "readings at marks",
            Flood::Notices => "notices of the harness",
        }
    }

    /// Which kind an observation is of, and its bytes. The news of a flood itself is of none.
    fn of(what: &What) -> Option<(Flood, usize)> {
        Some(match what {
            What::Console(line) => (Flood::Console, line.len()),
            What::Guest(Message::Data(piece)) => (Flood::Data, piece.bytes.len()),
            What::Guest(
                Message::Fault { text }
                | Message::Hello { release: text, .. }
                | Message::Said { text, .. }
                | Message::Unobserved { text, .. },
            ) => (Flood::Messages, text.len()),
            What::Guest(Message::Observed(call)) => {
                let written = match &call.op {
                    Op::Write { bytes, .. } | Op::WriteAt { bytes, .. } => bytes.len(),
                    _ => 0,
                };
                let path = call.path.as_ref().map_or(0, String::len);
                (Flood::Messages, size_of_val(&**call) + written + path)
            }
            What::Guest(_) => (Flood::Messages, 0),
            What::Tpm(exchange) => (Flood::Tpm, exchange.command.len() + exchange.answer.len()),
            What::Qmp(value) => (Flood::Monitor, value.to_string().len()),
            What::Pcrs(reading) => {
                (Flood::Marks, reading.values.iter().map(|value| 64 + value.digest.len()).sum())
            }
            What::Quote(quote) => {
                let values: usize = quote.values.iter().map(|value| 64 + value.digest.len()).sum();
                let parts = [&quote.nonce, &quote.key, &quote.attest, &quote.signature];
                (Flood::Marks, values + parts.iter().map(|part| part.len()).sum::<usize>())
            }
            What::Host(Host::Flooded { .. }) => return None,
            What::Host(
                Host::TpmTrouble { text }
                | Host::Trouble { text }
                | Host::BadFrame { text }
                | Host::Deadline { text }
                | Host::Hang { text }
                | Host::LastWords { text, .. }
                | Host::Processors { text, .. },
            ) => (Flood::Notices, text.len()),
            What::Host(_) => (Flood::Notices, 0),
        })
    }
}

/// Bytes that an observation has on the heap, and thus in a queue, roughly.
pub(super) fn weight(what: &What) -> usize {
    size_of::<What>() + Flood::of(what).map_or(0, |(_, bytes)| bytes)
}

/// One quota that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Of what.
    pub flood: Flood,
    by_count: bool,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Quota { count, bytes }, name) = (self.flood.quota(), self.flood.name());
        if self.by_count {
            write!(f, "more than {count} {name}")
        } else {
            write!(f, "more than {} MiB in {name}", bytes / MIB)
        }
    }
}

/// Counts what a run tells.
#[derive(Debug, Default)]
pub(super) struct Meter([Used; Flood::ALL.len()]);

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    count: u64,
    bytes: u64,
    over: bool,
}

/// Whether an observation is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    Taken,
    /// It is the first that is not.
    Over(Exceeded),
    /// Nor are those after it.
    Dropped,
}

impl Meter {
    /// Takes no more of this; says whether it did until now.
    pub(super) fn close(&mut self, flood: Flood) -> bool {
        !std::mem::replace(&mut self.0[flood as usize].over, true)
    }

    pub(super) fn charge(&mut self, what: &What) -> Charge {
        let Some((flood, bytes)) = Flood::of(what) else { return Charge::Taken };
        let Quota { count: most, bytes: most_bytes } = flood.quota();
        let used = &mut self.0[flood as usize];
        if used.over {
            return Charge::Dropped;
        }
        used.count += 1;
        used.bytes = used.bytes.saturating_add(bytes as u64);
        let by_count = used.count > most;
        if !by_count && used.bytes <= most_bytes {
            return Charge::Taken;
        }
        used.over = true;
        Charge::Over(Exceeded { flood, by_count })
    }
}

#[cfg(test)]
mod tests {
    use imalab_formats::ima::Bank;
    use imalab_formats::tpm::quote::PcrValue;
    use imalab_wire::Piece;

    use super::super::{Exchange, Origin, PcrReading};
    use super::*;

    #[test]
    fn what_is_within_its_quota_is_taken_and_the_first_beyond_is_told_once() {
        let mut meter = Meter::default();
        let line = What::Console(String::new());
        for _ in 0..Flood::Console.quota().count {
            assert_eq!(meter.charge(&line), Charge::Taken);
        }
        let Charge::Over(exceeded) = meter.charge(&line) else { panic!("not over") };
        assert_eq!(exceeded.to_string(), "more than 200000 lines on its console");
        assert_eq!(meter.charge(&line), Charge::Dropped);
        // Others go on.
        assert_eq!(meter.charge(&What::Guest(Message::Done { ops: 0, frames: 0 })), Charge::Taken);
    }

    #[test]
    fn bytes_count_as_well() {
        let mut meter = Meter::default();
        let line = What::Console("x".repeat(4096));
        let taken = (0..).take_while(|_| meter.charge(&line) == Charge::Taken).count();
        assert_eq!(taken, 4096);
        let text = Exceeded { flood: Flood::Console, by_count: false }.to_string();
        assert_eq!(text, "more than 16 MiB in lines on its console");
    }

    fn one(flood: Flood) -> What {
        let text = "x".to_owned();
        match flood {
            Flood::Console => What::Console(text),
            Flood::Messages => What::Guest(Message::Fault { text }),
            Flood::Data => {
                What::Guest(Message::Data(Piece { task: 0, step: 0, op: 0, offset: 0, bytes: vec![0] }))
            }
            Flood::Tpm => What::Tpm(Exchange {
                origin: Origin::Guest,
                locality: 0,
                command: vec![0],
                answer: Vec::new(),
                begin_ns: 0,
                end_ns: 0,
            }),
            Flood::Monitor => What::Qmp(serde_json::Value::Null),
            Flood::Marks => {
                let value = PcrValue { bank: Bank::Sha1, digest: vec![0; 20] };
                What::Pcrs(PcrReading { mark: 0, update_counter: 0, values: vec![value] })
            }
            Flood::Notices => What::Host(Host::Trouble { text }),
        }
    }

    #[test]
    fn each_kind_ends_by_number_and_by_bytes_and_takes_nothing_from_the_others() {
        for flood in Flood::ALL {
            let Quota { count, bytes } = flood.quota();
            for (by_count, used) in [
                (true, Used { count, bytes: 0, over: false }),
                (false, Used { count: 0, bytes, over: false }),
            ] {
                let mut meter = Meter::default();
                meter.0[flood as usize] = used;
                assert_eq!(meter.charge(&one(flood)), Charge::Over(Exceeded { flood, by_count }));
                for other in Flood::ALL.into_iter().filter(|other| *other != flood) {
                    assert_eq!(meter.charge(&one(other)), Charge::Taken);
                }
            }
        }
    }

    /// What stays in memory, were every quota used up at once.
    #[test]
    fn all_that_may_stay_in_memory_is_little() {
        let kept = [Flood::Console, Flood::Messages, Flood::Monitor, Flood::Marks, Flood::Notices];
        let bytes = |flood: Flood| {
            let Quota { count, bytes } = flood.quota();
            count * size_of::<super::super::Event>() as u64 + bytes
        };
        let all: u64 = kept.into_iter().map(bytes).sum();
        assert!(all <= 160 * MIB, "{all} bytes, an event has {}", size_of::<super::super::Event>());
    }
}
