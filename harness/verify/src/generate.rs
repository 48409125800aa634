//! `imalab generate-log`: a measurement list from a seed, with the PCR values that it leads to.

use std::path::{Path, PathBuf};

use imalab_files::atomic::FileError;
use imalab_files::output;
use imalab_formats::ima::{Bank, Mix, generate_log};

/// Generate a measurement list and its PCR values from a seed
#[derive(Clone, Debug, clap::Args)]
pub struct GenerateLogArgs {
    /// Number of records
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub records: u64,

    /// Seed; the same seed gives the same list
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Templates of the records
    #[arg(long, value_enum, default_value_t = Mix::Common)]
    pub mix: Mix,

    /// Write the list, as the SHA-1 file shows it, to FILE
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Write the PCR values to DIR, one file `pcrs-BANK.txt` per bank
    #[arg(long, value_name = "DIR")]
    pub pcrs_dir: PathBuf,

    /// Banks whose PCR values are written
    #[arg(long, value_name = "BANK", value_delimiter = ',', default_value = "sha1,sha256")]
    pub banks: Vec<Bank>,
}

/// Writes what `args` ask for.
///
/// # Errors
///
/// When a file cannot be created or written.
pub fn generate(args: &GenerateLogArgs) -> Result<(), FileError> {
    let mut made = Vec::new();
    output::write_with(&args.out, |mut log| {
        made = generate_log(&mut log, args.seed, args.mix, args.records, &args.banks)?;
        Ok(())
    })?;
    made.iter().try_for_each(|values| {
        let path = pcrs_path(&args.pcrs_dir, values.bank());
        output::write_with(&path, |mut out| values.write(&mut out))
    })
}

/// Where the PCR values of `bank` are in the folder `dir`.
pub(super) fn pcrs_path(dir: &Path, bank: Bank) -> PathBuf {
    dir.join(format!("pcrs-{bank}.txt"))
}
