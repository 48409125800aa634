//! What a suite demands of its kernels, and what it says of one that lacks it; and what the TPM demands of a policy.

use std::fs;

use imalab::report::json;
use imalab_check::outcome::{Check, Outcome};
use imalab_language::finding::{ExactlyOnce, Finding};
use rstest::rstest;

use crate::lab::{Lab, NAME, SHORT, initramfs, kernel};

#[test]
fn a_capability_that_is_required_and_lacking_fails_the_suite() {
    let lab = Lab::new();
    let demands = ["--require", "staging", "--require", "no-hash-table"];
    let ended =
        lab.run(lab.test().args(demands).arg("--offers").arg(format!("{NAME}=kexec,rfc-v2")).arg(SHORT));
    ended.exits(100).says(&["lacks no-hash-table, rfc-v2, which it must offer", "1 passed, 1 failed"]);
    let suite = json::read(&lab.path("results.json")).unwrap();
    let [lacks, ran] = suite.runs.as_slice() else { panic!("{:#?}", suite.runs) };
    assert_eq!((lacks.scenario.as_str(), lacks.outcome), ("kernel/offers", Outcome::Failed));
    assert_eq!(lacks.checks[0].findings.len(), 2, "{:#?}", lacks.checks);
    assert_eq!((ran.scenario.as_str(), ran.outcome), (SHORT, Outcome::Passed));
}

#[rstest]
#[case::no_capability(&["--require", "staginng"], &["`staginng` is not a capability; there are ima, tpm"])]
#[case::nor_offered(&["--offers", "under-test=trimm"], &["`trimm` is not a capability"])]
#[case::no_kernel(&["--stock", "7.3"], &["no kernel here is called `7.3`"])]
fn what_cannot_be_demanded_is_refused(#[case] words: &[&str], #[case] says: &[&str]) {
    let lab = Lab::new();
    lab.run(lab.test().args(words).arg(SHORT)).exits(2).says(says);
    assert!(!lab.path("results.json").exists(), "nothing was run");
}

/// Rules with a `pcr=` that the TPM extends for nobody (17, of another locality) or does not have.
#[rstest]
#[case(17, 0x907, "PCR 17 with TPM_RC_LOCALITY (0x907)")]
#[case(24, 0x184, "PCR 24 with TPM_RC_VALUE for handle 1 (0x184)")]
#[case(63, 0x184, "PCR 63 with TPM_RC_VALUE for handle 1 (0x184)")]
fn an_extend_that_the_tpm_refuses_is_the_reason(
    #[case] pcr: u32,
    #[case] response: u32,
    #[case] reason: &str,
) {
    let lab = Lab::new();
    let folder = lab.path("own");
    fs::create_dir_all(folder.join("own")).unwrap();
    let text = format!(
        "summary: A rule has a PCR that cannot be extended.\npromise: none\nneeds: [staging]\npolicy: |\n  \
         measure func=BPRM_CHECK mask=MAY_EXEC fsname=tmpfs pcr={pcr}\n  \
         measure func=FILE_CHECK mask=MAY_READ fsname=tmpfs\nsteps:\n  - measure: 2\n  \
         - measure: {{files: 2, by: exec, expect: {{new-records: 2}}}}\n  - stage\n  - save\n  - delete\n  - quote\n"
    );
    fs::write(folder.join("own/pcr.yaml"), text).unwrap();
    let mut command = lab.with("test", &kernel(), &initramfs());
    command.arg("--scenarios").arg(&folder).arg("--json").arg(lab.path("results.json"));
    lab.run(&mut command).exits(100).says(&[reason]);
    let found = lab.result().reason.unwrap();
    let refused = match found.finding {
        Finding::ExactlyOnce(ExactlyOnce::ExtendsRefused { pcr, extends: 2, response, .. }) => {
            (pcr, response)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((refused, found.check), ((pcr, response), Some(Check::ExactlyOnce)));
}
