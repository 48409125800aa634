//! What kernels are held to: what they must offer, and whether their version tells their known defects.

use std::collections::BTreeSet;

use clap::Args;
use miette::miette;

use super::Failure;
use imalab_language::capability::Capability;
use imalab_run::Kernel;

/// What a suite demands of its kernels.
#[derive(Args, Default)]
#[command(next_help_heading = "Kernels")]
pub(super) struct Demands {
    /// Fail if any kernel lacks this capability (repeatable)
    #[arg(long, value_name = "CAPABILITY")]
    require: Vec<Capability>,
    /// Fail if kernel NAME lacks one of these capabilities (repeatable)
    #[arg(long, value_name = "NAME=CAPABILITY,...", value_parser = offers)]
    offers: Vec<Offers>,
    /// Treat kernel NAME as an unpatched release (repeatable): a known defect or limit of its version that does not show fails
    /// the run; on other kernels the run passes
    #[arg(long, value_name = "NAME")]
    stock: Vec<String>,
}

/// What one kernel must offer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Offers {
    kernel: String,
    capabilities: BTreeSet<Capability>,
}

/// Takes `NAME=CAPABILITY,...`.
fn offers(text: &str) -> Result<Offers, String> {
    let (kernel, names) = text.split_once('=').ok_or("expected NAME=CAPABILITY,...")?;
    let capabilities = names.split(',').filter(|name| !name.is_empty()).map(str::parse);
    Ok(Offers { kernel: kernel.to_owned(), capabilities: capabilities.collect::<Result<_, _>>()? })
}

impl Demands {
    /// The kernels, with what is demanded of each.
    ///
    /// # Errors
    /// When a name is none of theirs.
    pub(super) fn of(&self, kernels: &[Kernel]) -> Result<Vec<Kernel>, Failure> {
        let named = self.offers.iter().map(|offers| &offers.kernel).chain(&self.stock);
        for name in named {
            if kernels.iter().all(|kernel| kernel.name != *name) {
                return Err(Failure::usage(miette!(
                    help = "--kernel and --kernel-image give kernels their names",
                    "no kernel here is called `{}`",
                    name.escape_debug()
                )));
            }
        }
        let demanded = kernels.iter().map(|kernel| {
            let own = self.offers.iter().filter(|offers| offers.kernel == kernel.name);
            let offers =
                own.flat_map(|offers| &offers.capabilities).chain(&self.require).chain(&kernel.offers);
            Kernel {
                offers: offers.copied().collect(),
                stock: kernel.stock || self.stock.contains(&kernel.name),
                ..kernel.clone()
            }
        });
        Ok(demanded.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demands(require: &[Capability], given: &[&str], stock: &[&str]) -> Demands {
        Demands {
            require: require.to_vec(),
            offers: given.iter().map(|text| offers(text).unwrap()).collect(),
            stock: stock.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn a_kernel_is_held_to_what_was_said_of_it_and_of_all() {
        let kernels = [Kernel::new("7.3", "/a"), Kernel::new("6.1", "/b")];
        let demands = demands(&[Capability::Ima], &["7.3=trim,staging", "7.3=kexec", "6.1="], &["6.1"]);
        let demanded = demands.of(&kernels).ok().unwrap();
        let [new, old] = demanded.as_slice() else { panic!("{demanded:?}") };
        let all = [Capability::Ima, Capability::Staging, Capability::Trim, Capability::Kexec];
        assert_eq!((&new.offers, new.stock), (&BTreeSet::from(all), false));
        assert_eq!((&old.offers, old.stock), (&BTreeSet::from([Capability::Ima]), true));
    }

    #[test]
    fn what_is_no_capability_and_no_kernel_is_refused() {
        let error = offers("7.3=trim,trimm").unwrap_err();
        assert!(error.starts_with("`trimm` is not a capability; there are ima, tpm, "), "{error}");
        assert!(offers("trim").is_err());
        assert_eq!(
            "Trim\u{1b}".parse::<Capability>().unwrap_err().split(';').next(),
            Some("`Trim\\u{1b}` is not a capability")
        );
        let kernels = [Kernel::new("7.3", "/a")];
        for demands in [demands(&[], &["7.2=trim"], &[]), demands(&[], &[], &["7.2"])] {
            let failure = demands.of(&kernels).err().unwrap();
            assert_eq!(failure.exit, crate::report::Exit::Usage);
            assert!(
                failure.error.to_string().contains("no kernel here is called `7.2`"),
                "{}",
                failure.error
            );
        }
    }
}
