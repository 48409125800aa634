//! What clients do: read, and change nothing.

use std::io::{self, Write};

use clap::Args;
use imalab_ima::Bank;
use imalab_logkeeper::{Config, Files, Keeper, Look, Machine, Stand, Stored, SystemCalls};
use imalab_logview::Form;

use crate::Failure;

/// What part of the log is written, and how.
#[derive(Args)]
pub(crate) struct Cat {
    /// Begin with this record, counted from 0 since the cold boot.
    #[arg(long, value_name = "RECORD", default_value_t = 0)]
    from: u64,
    /// Write lines of text.
    #[arg(long)]
    ascii: bool,
    /// Show digests of this bank.
    #[arg(long, value_name = "BANK", default_value = "sha1", value_parser = bank)]
    bank: Bank,
}

fn bank(name: &str) -> Result<Bank, imalab_ima::UnknownBank> {
    name.parse()
}

/// Looks at what there is while the keeper waits.
fn look(config: &Config) -> Result<Look<Stored>, Failure> {
    let mut machine = Machine::open(config)?;
    let files = Files::of(&machine.list_files().map_err(Failure::Lists)?, config.flavour)?;
    let lock = machine.share()?;
    let look = Keeper::new(machine, files, config.settings()).look()?;
    drop(lock);
    Ok(look)
}

impl Cat {
    pub(crate) fn run(&self, config: &Config) -> Result<(), Failure> {
        let form = Form { ascii: self.ascii, bank: self.bank };
        // The records were read, and shards never change: the keeper may go on while they are written.
        let (log, _) = look(config)?.into_log()?;
        let mut at = log.place_of(self.from).map_err(Failure::Log)?.offset(form);
        let mut out = io::stdout().lock();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = log.read_at(form, at, &mut buffer).map_err(Failure::Log)?;
            if count == 0 {
                return out.flush().map_err(Failure::Log);
            }
            match out.write_all(&buffer[..count]) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.map_err(Failure::Log)?,
            }
            at += count as u64;
        }
    }
}

pub(crate) fn status(config: &Config) -> Result<(), Failure> {
    let look = look(config)?;
    let shards = look.verify()?;
    let (generation, tpm) = (look.generation, agreement(&look));
    let open = usize::from(look.stand == Stand::InKernel);
    let (log, after) = look.into_log()?;
    println!("generation={}", generation.map_or_else(|| "-".to_owned(), |number| number.to_string()));
    println!("shards={}", shards - open);
    println!("records-in-shards={}", after.place.records);
    println!("records-in-kernel={}", log.end().records - after.place.records);
    println!("bytes={}", log.size(Form::CANONICAL));
    println!("unfinished-shard={}", if open == 1 { "yes" } else { "no" });
    println!("tpm={tpm}");
    Ok(())
}

/// What the TPM says to the whole log.
fn agreement<F>(look: &Look<F>) -> &'static str {
    match look.evidence.pcr {
        None => "none",
        Some(_) if look.pcr_matches => "matches",
        Some(_) => "does-not-match",
    }
}

pub(crate) fn verify(config: &Config) -> Result<(), Failure> {
    let look = look(config)?;
    let shards = look.verify()?;
    let (pcr, matches) = (look.evidence.pcr, look.pcr_matches);
    let (log, _) = look.into_log()?;
    println!("{} records, {shards} shards", log.end().records);
    match pcr {
        None => Err(Failure::NoPcr(config.pcr)),
        Some(_) if matches => Ok(()),
        Some(_) => Err(Failure::OtherPcr(config.pcr)),
    }
}
