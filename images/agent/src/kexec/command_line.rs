//! The kernel's command line, of this boot and of the next.

use imalab_wire::{BOOT_WORD, WITHOUT_WORD};

/// Words that belong to one boot: the program's count of them, and what boot loaders and kexec add
/// (`Documentation/admin-guide/kernel-parameters.txt`).
const OF_ONE_BOOT: &[&str] = &[BOOT_WORD, "BOOT_IMAGE", "initrd", "elfcorehdr"];

/// What the kernel leaves to PID 1 begins here (`parse_args`, kernel/params.c).
const FOR_INIT: &str = "--";

/// Which boot of the program a command line says this is: 0 when it does not.
///
/// # Errors
/// The word, when it is no number.
pub(crate) fn boot_of(line: &str) -> Result<u16, String> {
    let mut boot = 0;
    for word in words(line).take_while(|word| *word != FOR_INIT) {
        if let Some(number) = word.strip_prefix(BOOT_WORD).and_then(|rest| rest.strip_prefix('=')) {
            boot = number.parse().map_err(|_| format!("`{word}` on the command line is no boot"))?;
        }
    }
    Ok(boot)
}

/// The command line of boot `boot`, from that of the running kernel.
pub(super) fn next(running: &str, boot: u16, args: &str) -> String {
    let instruction = |word: &str| word.strip_prefix(WITHOUT_WORD).is_some_and(|rest| rest.starts_with('='));
    let without: Vec<&str> =
        words(args).filter(|word| instruction(word)).map(|word| &word[WITHOUT_WORD.len() + 1..]).collect();
    let args: Vec<&str> = words(args).filter(|word| !instruction(word)).collect();
    let mut ours: Vec<&str> = words(running).filter(|word| !of_one_boot(word)).collect();
    let for_init = ours.iter().position(|word| *word == FOR_INIT).map(|at| ours.split_off(at));
    ours.retain(|word| !without.contains(word));
    let boot = format!("{BOOT_WORD}={boot}");
    ours.push(&boot);
    ours.extend(args);
    ours.extend(for_init.unwrap_or_default());
    ours.join(" ")
}

fn of_one_boot(word: &str) -> bool {
    OF_ONE_BOOT.iter().any(|name| word.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
}

/// Words are separated by spaces that are not between double quotes (`next_arg`, lib/cmdline.c).
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split(move |character: char| {
        quoted ^= character == '"';
        !quoted && character.is_ascii_whitespace()
    })
    .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("console=ttyS0 quiet\n", 1, "", "console=ttyS0 quiet imalab.boot=1")]
    #[case(
        "quiet imalab.boot=1 ima_template=ima-sig",
        2,
        "a b",
        "quiet ima_template=ima-sig imalab.boot=2 a b"
    )]
    #[case(
        "BOOT_IMAGE=/k initrd=/i quiet initrdmem=1 elfcorehdr=0x1",
        1,
        "",
        "quiet initrdmem=1 imalab.boot=1"
    )]
    #[case(
        r#"dyndbg="file a +p imalab.boot=5" quiet"#,
        1,
        "",
        r#"dyndbg="file a +p imalab.boot=5" quiet imalab.boot=1"#
    )]
    #[case("quiet -- imalab.boot=7 power-off", 1, "debug", "quiet imalab.boot=1 debug -- power-off")]
    #[case("", 9, "", "imalab.boot=9")]
    #[case(
        "quiet x y=1",
        1,
        "imalab.without=x imalab.without=y imalab.withoutx",
        "quiet y=1 imalab.boot=1 imalab.withoutx"
    )]
    #[case("quiet -- x", 1, "imalab.without=x a", "quiet imalab.boot=1 a -- x")]
    fn the_next_command_line_keeps_what_is_not_of_one_boot(
        #[case] running: &str,
        #[case] boot: u16,
        #[case] args: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(next(running, boot, args), expected);
        assert_eq!(boot_of(expected), Ok(boot));
    }

    #[test]
    fn the_boot_is_a_number_or_the_first() {
        assert_eq!(boot_of("quiet\n"), Ok(0));
        assert_eq!(boot_of("quiet imalab.boot=3\n"), Ok(3));
        assert_eq!(boot_of("imalab.boots=3 ximalab.boot=4 -- imalab.boot=5"), Ok(0));
        assert_eq!(
            boot_of("imalab.boot=x"),
            Err("`imalab.boot=x` on the command line is no boot".to_owned())
        );
    }
}
