//! Whether a kernel checks itself so much that its guests are slow.

use std::fs;
use std::path::Path;

/// Functions of KASAN (`mm/kasan/report.c`), KCSAN (`kernel/kcsan/core.c`), the lock validator (`kernel/locking/lockdep.c`) and
/// the leak detector (`mm/kmemleak.c`), which are built with these alone.
const FUNCTIONS: [&str; 4] = ["kasan_report", "kcsan_init", "lockdep_init", "kmemleak_init"];

/// Whether the kernel at `image` does, by the `System.map` that its build leaves beside it. Of a kernel without one nothing is
/// known: whoever runs it may say `--timeout-scale`.
pub(super) fn are_many(image: &Path) -> bool {
    fs::read_to_string(image.with_file_name("System.map")).is_ok_and(|map| has_one(&map))
}

fn has_one(map: &str) -> bool {
    map.lines().filter_map(|line| line.rsplit(' ').next()).any(|name| FUNCTIONS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_with_one_of_its_own_checks_is_known_by_its_symbols() {
        let plain = "ffffffff81000000 T startup_64\nffffffff81000100 t lockdep_init_map_type\n";
        assert!(!has_one(plain) && !has_one(""));
        for function in FUNCTIONS {
            assert!(has_one(&format!("{plain}ffffffff81000200 T {function}\n")), "{function}");
        }
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("bzImage");
        assert!(!are_many(&image));
        fs::write(folder.path().join("System.map"), "ffffffff81000200 T kasan_report\n").unwrap();
        assert!(are_many(&image));
    }
}
