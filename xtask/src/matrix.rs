//! `cargo xtask matrix`: the workflow that runs the suite on every kernel of the catalogue, a job each.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use imalab_kernels::cache;
use imalab_kernels::catalogue::Catalogue;
use imalab_kernels::stop::Stop;

/// Arguments of `cargo xtask matrix`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fail if the file is out of date, and do not write it
    #[arg(long)]
    check: bool,
}

/// Where the workflow is, from the root of the checkout.
const FILE: &str = ".github/workflows/matrix.yml";
/// What it is made of: the jobs' names take the place of [`KERNELS`].
const TEMPLATE: &str = include_str!("matrix.yml.in");
/// Stands for the list of kernels, with the spaces before it.
const KERNELS: &str = "          @KERNELS@\n";

/// Writes the workflow, or checks that it is up to date.
pub(crate) fn run(args: &Args, root: &Path) -> Result<()> {
    let catalogue = Catalogue::load(&root.join("kernel-config/kernels.yaml"))?;
    let text = workflow(&catalogue);
    let path = root.join(FILE);
    if !args.check {
        return cache::write_atomically(&path, text.as_bytes());
    }
    let found = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if found != text {
        let message = format!("{FILE} does not match kernel-config/kernels.yaml; run cargo xtask matrix");
        return Err(Stop::Usage(message).into());
    }
    Ok(())
}

fn workflow(catalogue: &Catalogue) -> String {
    // Quoted: 6.10 is no number.
    let kernels: String = catalogue.all().map(|name| format!("          - \"{name}\"\n")).collect();
    TEMPLATE.replace(KERNELS, &kernels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_of_this_checkout_is_up_to_date() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        run(&Args { check: true }, &root).unwrap();
    }

    #[test]
    fn every_kernel_is_a_job_and_a_stale_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("kernel-config")).unwrap();
        fs::create_dir_all(root.join(".github/workflows")).unwrap();
        let catalogue = "default: newest\ndebian_suites: []\nkernels:\n  newest: {source: {debian-newest: {from: \"7.2\"}}, \
                         fragments: [base]}\n  \"6.10\": {source: {debian: linux-source-6.10}, fragments: [base]}\n  \
                         odd: {source: {debian: linux-source-6.10}, fragments: [base], only-by-name: no dialect}\n";
        let file = root.join("kernel-config/kernels.yaml");
        fs::write(&file, catalogue).unwrap();
        run(&Args { check: false }, root).unwrap();
        let text = fs::read_to_string(root.join(FILE)).unwrap();
        assert!(text.contains("        kernel:\n          - \"6.10\"\n          - \"newest\"\n"), "{text}");
        assert!(!text.contains("KERNELS") && !text.contains("odd"), "{text}");
        run(&Args { check: true }, root).unwrap();
        fs::write(&file, catalogue.replace("6.10", "6.11")).unwrap();
        let error = run(&Args { check: true }, root).unwrap_err().to_string();
        assert!(error.ends_with("run cargo xtask matrix"), "{error}");
    }
}
