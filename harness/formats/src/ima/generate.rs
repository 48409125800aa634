//! Makes measurement lists from a seed: for tests, and to measure speed on a list of a million records.

use std::io::{self, Write};

use super::{Bank, ByteOrder, PcrValues, Record, Replay, template_data, write_record};

/// Which templates a made list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mix {
    /// `ima-ng` alone, as a kernel with the default configuration writes.
    Common,
    /// Every built-in template but `ima`, and two formats without a name.
    Templates,
    /// `ima` alone.
    Legacy,
}

/// An endless list of records: the same seed, the same records, on every machine and in every version.
#[derive(Clone, Debug)]
pub struct Generator {
    state: u64,
    mix: Mix,
    made: u64,
}

impl Generator {
    /// Starts over from `seed`. The first record is a `boot_aggregate`; about one in 500 is a violation.
    pub fn new(seed: u64, mix: Mix) -> Generator {
        Generator { state: seed, mix, made: 0 }
    }

    /// SplitMix64. Own code because a list must not change with a version of a library.
    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.number().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn path(&mut self) -> Vec<u8> {
        const FOLDERS: [&str; 6] = [
            "/usr/bin",
            "/usr/sbin",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/modules/7.3.4/kernel",
            "/etc",
            "/opt",
        ];
        let folder = FOLDERS[self.below(FOLDERS.len() as u64) as usize];
        let length = 2 + self.below(14) as usize;
        let name = hex::encode(self.bytes(length));
        format!("{folder}/{name}").into_bytes()
    }

    fn digest(&mut self, tag: &str, size: usize, violation: bool) -> Vec<u8> {
        let digest = if violation { vec![0; size] } else { self.bytes(size) };
        [tag.as_bytes(), b"\0", &digest].concat()
    }

    /// The value of field `id` of a template format.
    fn field(&mut self, id: &str, name: &[u8], violation: bool) -> Vec<u8> {
        match id {
            "d-ng" => self.digest("sha256:", 32, violation),
            "d-ngv2" if self.below(2) == 0 => self.digest("verity:sha256:", 32, violation),
            "d-ngv2" => self.digest("ima:sha256:", 32, violation),
            "d-modsig" => self.digest("sha512:", 64, violation),
            "n-ng" => [name, b"\0"].concat(),
            "xattrnames" => b"security.selinux|security.ima\0".to_vec(),
            "xattrlengths" => self.bytes(8),
            "iuid" | "igid" => (self.below(70_000) as u32).to_le_bytes().to_vec(),
            "imode" => (0o100_644 | (self.below(2) as u16 * 0o111)).to_le_bytes().to_vec(),
            // sig, buf, modsig, evmsig, xattrvalues: any bytes, and now and then none.
            _ => match self.below(4) {
                0 => Vec::new(),
                _ => {
                    let length = 1 + self.below(300) as usize;
                    self.bytes(length)
                }
            },
        }
    }

    fn template(&mut self) -> &'static str {
        const TEMPLATES: [&str; 9] = [
            "ima-ng",
            "ima-sig",
            "ima-ngv2",
            "ima-sigv2",
            "ima-buf",
            "ima-modsig",
            "evm-sig",
            "d-ng|n-ng|imode",
            "d-ngv2|n-ng|iuid|igid",
        ];
        match self.mix {
            Mix::Common => "ima-ng",
            Mix::Legacy => "ima",
            Mix::Templates => TEMPLATES[self.below(TEMPLATES.len() as u64) as usize],
        }
    }
}

impl Iterator for Generator {
    type Item = Record;

    /// The next record, of the SHA-1 view, for PCR 10. There always is one.
    fn next(&mut self) -> Option<Record> {
        let first = self.made == 0;
        self.made += 1;
        let violation = !first && self.below(500) == 0;
        let name = if first { b"boot_aggregate".to_vec() } else { self.path() };
        let template = self.template();
        let data = if template == "ima" {
            let digest = if violation { vec![0; 20] } else { self.bytes(20) };
            [digest.as_slice(), &(name.len() as u32).to_le_bytes(), &name].concat()
        } else {
            let format = super::format_of(template).unwrap_or_default();
            let fields: Vec<_> = format.split('|').map(|id| self.field(id, &name, violation)).collect();
            let fields: Vec<_> = fields.iter().map(Vec::as_slice).collect();
            template_data(&fields, ByteOrder::Little)
        };
        let mut record = Record::new(Bank::Sha1, 10, template, data);
        if violation {
            record.digest.fill(0);
        }
        Some(record)
    }
}

/// Writes the first `count` records that `seed` gives as the list of the SHA-1 view, and returns the PCR
/// values that follow in each of `banks`.
///
/// # Errors
///
/// Those of `out`.
pub fn generate_log(
    out: &mut impl Write,
    seed: u64,
    mix: Mix,
    count: u64,
    banks: &[Bank],
) -> io::Result<Vec<PcrValues>> {
    let mut replays: Vec<Replay> = banks.iter().copied().map(Replay::new).collect();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    for record in Generator::new(seed, mix).take(count) {
        write_record(out, &record, ByteOrder::Little)?;
        for replay in &mut replays {
            replay.record(&record);
        }
    }
    Ok(replays.iter().map(pcr_values).collect())
}

/// The value of every PCR of a TPM that a replay has come to.
fn pcr_values(replay: &Replay) -> PcrValues {
    let mut values = PcrValues::new(replay.bank());
    for (index, value) in replay.extended() {
        values.set(index, value);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::super::Digest;
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Mix::Common)]
    #[case(Mix::Templates)]
    #[case(Mix::Legacy)]
    fn the_seed_decides_everything_and_lists_are_well_formed(#[case] mix: Mix) {
        let mut list = Vec::new();
        let values = generate_log(&mut list, 7, mix, 2000, &Bank::ALL).unwrap();
        let mut again = Vec::new();
        assert_eq!(generate_log(&mut again, 7, mix, 2000, &Bank::ALL).unwrap(), values);
        assert_eq!(again, list);
        again.clear();
        generate_log(&mut again, 8, mix, 2000, &[]).unwrap();
        assert_ne!(again, list);

        let records = super::super::parse_log(&list, Bank::Sha1).unwrap();
        assert_eq!(records.len(), 2000);
        assert!(records.iter().all(Record::is_consistent));
        assert!(records.iter().any(Record::is_violation));
        for record in &records {
            record.fields().unwrap();
        }
    }

    #[test]
    fn the_list_of_a_seed_stays_the_same() {
        let mut list = Vec::new();
        generate_log(&mut list, 1, Mix::Templates, 100, &[]).unwrap();
        insta::assert_snapshot!(Digest::of(Bank::Sha256, &[&list]), @"35a19e6ae22b25c9f1bff8c724dfdbc310eb65efe34445a933234fab6139c62c");
    }
}
