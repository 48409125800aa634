use super::{function, functions};
use rstest::rstest;

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

const FAULT: &str = "\
Oops: general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP
CPU: 0 UID: 0 PID: 71 Comm: agent Not tainted 7.3.4 #1
RIP: 0010:__list_del_entry_valid_or_report+0x4f/0x100
Call Trace:
 <TASK>
 ima_queue_delete_partial+0xcb/0x150
 ima_measurements_write+0x1c1/0x290
 </TASK>
";
const OWN: &str = "\
BUG: kernel NULL pointer dereference, address: 0000000000000008
RIP: 0010:ima_measurements_next+0x1b/0x60
Call Trace:
 seq_read_iter+0x2e6/0x480
";
/// The one that called a function without a frame of its own.
const FRAMELESS: &str = "\
BUG: unable to handle page fault for address: ffffc900007db000
RIP: 0010:memcpy_orig+0x29/0x110
Call Trace:
 <TASK>
 ? ima_update_kexec_buffer+0x1d4/0x280
 blocking_notifier_call_chain+0x5f/0x80
 </TASK>
";
const PANIC: &str = "\
Kernel panic - not syncing: no list any more
Call Trace:
 <TASK>
 dump_stack_lvl+0x4b/0x70
 vpanic+0x1/0x2
 panic+0x117/0x2d0
 ima_add_template_entry+0x1/0x2
";

#[rstest]
#[case::of_a_helper(FAULT, Some(("__list_del_entry_valid_or_report", Some("ima_queue_delete_partial"))))]
#[case::of_imas_own(OWN, Some(("ima_measurements_next", None)))]
#[case::of_a_panic(PANIC, Some(("ima_add_template_entry", None)))]
#[case::in_user_space("x\nRIP: 0033:0x401000\n", None)]
#[case::nothing_told("Kernel panic - not syncing: Attempted to kill init!", None)]
fn a_report_is_about_a_function(#[case] report: &str, #[case] expected: Option<(&str, Option<&str>)>) {
    let found = function(&lines(report));
    let found = found.as_ref().map(|found| (found.name.as_str(), found.called_from.as_deref()));
    assert_eq!(found, expected);
}

#[test]
fn a_report_names_all_functions_that_it_went_through() {
    let all = ["__list_del_entry_valid_or_report", "ima_queue_delete_partial", "ima_measurements_write"];
    assert_eq!(functions(&lines(FAULT)), all);
    assert_eq!(functions(&lines(OWN)), ["ima_measurements_next", "seq_read_iter"]);
    let framed = ["memcpy_orig", "ima_update_kexec_buffer", "blocking_notifier_call_chain"];
    assert_eq!(functions(&lines(FRAMELESS)), framed);
    assert!(functions(&lines("Kernel panic - not syncing")).is_empty());
}

#[test]
fn the_compilers_parts_of_a_function_go_by_its_name() {
    let report =
        ["RIP: 0010:ima_queue_delete.constprop.0+0x37/0x110", "Call Trace:", " traverse.part.0+0x42/0x180"];
    let report = report.map(str::to_owned);
    assert_eq!(functions(&report), ["ima_queue_delete", "traverse"]);
    assert_eq!(function(&report).unwrap().name, "ima_queue_delete");
}
