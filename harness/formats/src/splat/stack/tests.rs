use rstest::rstest;

use super::*;

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

const HUNG: &str = "\
[   45.100000] INFO: task agent:72 blocked for more than 30 seconds.
[   45.100300]       Not tainted 7.3.4 #1
[   45.100900] INFO: task agent:72 is blocked on a mutex likely owned by task agent:70.
[   45.200000] INFO: task agent:73 <writer> blocked on an rw-semaphore likely owned by task kworker/0:1:9 <reader>
[   47.000000] Kernel panic - not syncing: NMI: Not continuing
[   47.000001] task:agent           state:D stack:0     pid:70    tgid:70    ppid:1      task_flags:0x400100 flags:0x00004000
[   47.000002] Call Trace:
[   47.000003]  <TASK>
[   47.000004]  __schedule+0x3f4/0xb20
[   47.000005]  schedule+0x27/0xf0
[   47.000006]  msleep+0x2d/0x40
[   47.000007]  ? __pfx_x+0x10/0x10
[   47.000008]  ima_pcr_extend+0x5c/0xd0
[   47.000009]  </TASK>
[   47.000010] task:agent           state:D stack:0     pid:72    tgid:72    ppid:1      task_flags:0x400100 flags:0x00004000
[   47.000011] Call Trace:
[   47.000012]  <TASK>
[   47.000013]  __schedule+0x3f4/0xb20
[   47.000014]  schedule_preempt_disabled+0x15/0x30
[   47.000015]  __mutex_lock.constprop.0+0x37f/0x6b0
[   47.000016]  ima_queue_stage+0x21/0x130
[   47.000017]  vfs_write+0x1/0x2
[   47.000018]  </TASK>
[   47.000019] task:in: a name      state:S stack:0     pid:7     ppid:1      flags:0x00004000
[   47.000020] Call Trace:
[   47.000021]  do_wait+0x1/0x2
[   47.000022] task:kworker/1:2     state:D stack:0     pid:8     ppid:2      flags:0x00004000
";

#[test]
fn tasks_that_wait_are_told_with_their_functions() {
    let blocked = blocked(&lines(HUNG));
    let told: Vec<_> = blocked.iter().map(|one| (one.task.as_str(), one.function.as_deref())).collect();
    let expected = [
        ("agent:70", Some("ima_pcr_extend")),
        ("agent:72", Some("ima_queue_stage")),
        ("kworker/1:2:8", None),
    ];
    assert_eq!(told, expected);
    assert_eq!(hung("INFO: task agent:72 blocked for more than 30 seconds."), Some("agent:72"));
    assert_eq!(hung("INFO: task agent:73 blocked in I/O wait for more than 120 seconds."), Some("agent:73"));
    assert_eq!(hung("watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [agent:71]"), None);
}

#[test]
fn the_holder_is_who_the_kernel_takes_for_it() {
    let console = lines(HUNG);
    assert_eq!(holder(&console, "agent:72"), Some("agent:70"));
    assert_eq!(holder(&console, "agent:73"), Some("kworker/0:1:9"));
    assert_eq!(holder(&console, "agent:7"), None);
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
#[case::of_a_helper(FAULT, Some("__list_del_entry_valid_or_report, called from ima_queue_delete_partial"))]
#[case::of_imas_own(OWN, Some("ima_measurements_next"))]
#[case::of_a_panic(PANIC, Some("ima_add_template_entry"))]
#[case::in_user_space("x\nRIP: 0033:0x401000\n", None)]
#[case::nothing_told("Kernel panic - not syncing: Attempted to kill init!", None)]
fn a_report_is_about_a_function(#[case] report: &str, #[case] function: Option<&str>) {
    assert_eq!(super::function(&lines(report)).as_deref(), function);
}
