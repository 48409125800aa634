use super::*;
use rstest::{fixture, rstest};
use tempfile::TempDir;

/// A tree whose Kconfig files define three symbols.
#[fixture]
fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let ima = tree.path().join("security/integrity/ima");
    fs::create_dir_all(&ima).unwrap();
    fs::write(
        ima.join("Kconfig"),
        "config IMA\n\tbool \"IMA\"\n\nconfig IMA_KEXEC\n\tbool \"carry\"\n\tdepends on TCG_TPM && HAVE_IMA_KEXEC\n\n\
         config IMA_STAGING\n\tbool \"staging\"\n\tdepends on IMA\n\tdepends on SECURITYFS\n\n\
         config IMA_LSM_RULES\n\tbool\n\tdepends on AUDIT\n\tdefault y\n",
    )
    .unwrap();
    tree
}

#[rstest]
#[case::yes("CONFIG_IMA=y", "CONFIG_IMA", "y")]
#[case::no("CONFIG_IMA=n", "CONFIG_IMA", "n")]
#[case::not_set("# CONFIG_IMA is not set", "CONFIG_IMA", "n")]
#[case::number("CONFIG_PANIC_TIMEOUT=-1", "CONFIG_PANIC_TIMEOUT", "-1")]
#[case::text("CONFIG_CMDLINE=\"a=b c\"", "CONFIG_CMDLINE", "\"a=b c\"")]
#[case::indented("  CONFIG_IMA=y  ", "CONFIG_IMA", "y")]
fn a_line_is_a_wish(#[case] line: &str, #[case] symbol: &str, #[case] value: &str) {
    let settings = parse("ima.config", line).unwrap();
    assert_eq!((settings[0].symbol.as_str(), settings[0].value.as_str()), (symbol, value));
    assert_eq!(settings[0].place, ("ima.config".into(), 1));
}

#[rstest]
#[case::no_value(
    "CONFIG_IMA",
    "ima.config:1: expected CONFIG_SYMBOL=value or a comment, found \"CONFIG_IMA\""
)]
#[case::empty_value(
    "CONFIG_IMA=",
    "ima.config:1: CONFIG_IMA has no value; write CONFIG_IMA=n to turn it off"
)]
#[case::no_prefix("IMA=y", "ima.config:1: \"IMA\" is not a symbol; they look like CONFIG_IMA")]
#[case::not_a_name(
    "\nCONFIG_I MA=y",
    "ima.config:2: \"CONFIG_I MA\" is not a symbol; they look like CONFIG_IMA"
)]
fn anything_else_is_an_error(#[case] text: &str, #[case] message: &str) {
    assert_eq!(parse("ima.config", text).unwrap_err().to_string(), message);
}

#[test]
fn optional_holds_for_the_next_symbol_alone() {
    let settings = parse("ima.config", "# optional\n# why\nCONFIG_A=y\nCONFIG_B=y\n").unwrap();
    assert_eq!(settings.iter().map(|setting| setting.optional).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_later_fragment_wins() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("base.config"), "CONFIG_A=y\nCONFIG_B=y\n").unwrap();
    fs::write(folder.path().join("debug.config"), "CONFIG_A=n\n").unwrap();
    let settings = load(folder.path(), &["base".into(), "debug".into()]).unwrap();
    assert_eq!(to_config(&settings), "CONFIG_A=n\nCONFIG_B=y\n");
    assert_eq!(settings[0].place, ("debug.config".into(), 1));
}

#[rstest]
fn a_config_that_has_everything_passes(tree: TempDir) {
    let settings = parse("ima.config", "CONFIG_IMA=y\nCONFIG_IMA_KEXEC=n\n").unwrap();
    verify(&settings, "CONFIG_IMA=y\n# CONFIG_IMA_KEXEC is not set\n", tree.path()).unwrap();
}

#[rstest]
fn a_dropped_symbol_says_what_it_depends_on(tree: TempDir) {
    let text =
        "CONFIG_IMA=y\nCONFIG_IMA_KEXEC=y\nCONFIG_IMA_STAGING=y\nCONFIG_IMA_LSM_RULES=y\nCONFIG_IMA_GONE=y\n";
    let settings = parse("ima.config", text).unwrap();
    let error = verify(&settings, "CONFIG_IMA=y\n", tree.path()).unwrap_err();
    insta::assert_snapshot!(error);
}

#[rstest]
fn a_symbol_off_that_kconfig_selects_is_an_error(tree: TempDir) {
    let settings = parse("base.config", "CONFIG_IMA=n\n").unwrap();
    let unmet = unmet(&settings, "CONFIG_IMA=y\n", tree.path());
    assert_eq!(unmet.len(), 1);
    assert_eq!(unmet[0].got, "y");
}

#[rstest]
fn optional_excuses_only_an_unknown_symbol(tree: TempDir) {
    let text = "# optional\nCONFIG_IMA_GONE=y\n# optional\nCONFIG_IMA_STAGING=y\n";
    let unmet = unmet(&parse("ima.config", text).unwrap(), "", tree.path());
    assert_eq!(
        unmet.iter().map(|unmet| unmet.setting.symbol.as_str()).collect::<Vec<_>>(),
        ["CONFIG_IMA_STAGING"]
    );
}
