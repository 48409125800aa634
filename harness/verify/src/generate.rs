//! `imalab generate-log`: a measurement list from a seed, with the PCR values that it leads to.

use std::path::{Path, PathBuf};

use imalab_files::atomic::FileError;
use imalab_files::output;
use imalab_formats::ima::{Bank, Mix, generate_log};

/// Makes a measurement list from a seed, with the PCR values that it leads to.
#[derive(Clone, Debug, clap::Args)]
pub struct GenerateLogArgs {
    /// How many records.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub records: u64,

    /// The same seed gives the same list.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Which templates.
    #[arg(long, value_enum, default_value_t = Mix::Common)]
    pub mix: Mix,

    /// The list, in the binary form of the SHA-1 view.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Folder for the PCR values, a file `pcrs-<bank>.txt` for each bank.
    #[arg(long, value_name = "DIR")]
    pub pcrs_dir: PathBuf,

    /// Banks to write PCR values of.
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
