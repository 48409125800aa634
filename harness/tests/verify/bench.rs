//! A folder with files to verify, and command lines about them.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::Parser;
use imalab_formats::ima::{Bank, ByteOrder, PcrValues, Record, Replay, write_record};
use imalab_verify::{QuoteCheckError, QuoteFiles, Quoted, Verdict, VerifyArgs, VerifyError, run};
use tempfile::TempDir;

pub(crate) const QUOTE: &str =
    "--quote-message @message --quote-signature @message --quote-key @message --nonce cafe";

pub(crate) struct Bench {
    dir: TempDir,
}

#[derive(Debug, clap::Parser)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) verify: VerifyArgs,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn log(&self, name: &str, records: &[Record]) {
        let mut list = Vec::new();
        for record in records {
            write_record(&mut list, record, ByteOrder::Little).unwrap();
        }
        fs::write(self.path(name), list).unwrap();
    }

    /// Writes the PCR values that the records lead to, as a file with the bank's name.
    pub(crate) fn pcrs(&self, records: &[Record], bank: Bank) {
        let mut replay = Replay::new(bank);
        records.iter().for_each(|record| replay.record(record));
        let mut values = PcrValues::new(bank);
        for (index, value) in replay.extended() {
            values.set(index, value);
        }
        let mut text = Vec::new();
        values.write(&mut text).unwrap();
        fs::write(self.path(bank.name()), text).unwrap();
    }

    /// Runs with a command line in which `@name` is a file of the folder.
    pub(crate) fn run(&self, line: &str, quoted: Option<Quoted>) -> (Result<Verdict, VerifyError>, String) {
        let folder = format!("{}/", self.dir.path().display());
        let line = line.replace('@', &folder);
        let args = CommandLine::try_parse_from(line.split(' ')).unwrap().verify;
        let check = |files: &QuoteFiles| {
            assert_eq!((&*files.message, &*files.nonce), (b"message".as_slice(), [0xca, 0xfe].as_slice()));
            quoted.ok_or_else(|| QuoteCheckError::Refuted("signature does not verify".into()))
        };
        let verdict = run(&args, check);
        let mut out = Vec::new();
        if let Ok(verdict) = &verdict {
            if args.json { verdict.write_json(&mut out) } else { verdict.write_text(&mut out) }.unwrap();
        }
        (verdict, String::from_utf8(out).unwrap().replace(&folder, "@"))
    }

    pub(crate) fn verdict(&self, line: &str) -> Verdict {
        self.run(line, None).0.unwrap()
    }

    pub(crate) fn error(&self, line: &str) -> String {
        let error = self.run(line, None).0.unwrap_err();
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text.replace(&format!("{}/", self.dir.path().display()), "@")
    }
}
