//! A kernel that does not get on.

use super::*;

#[test]
fn a_guest_that_does_nothing_more_is_told_with_its_idle_processors() {
    let mut fake = sound();
    fake.see(deadline());
    let text = "CPU#0\n HLT=1\nCPU#1\n HLT=0\n".to_owned();
    fake.see(What::Host(Host::Processors { text, emulated: true }));
    let finding =
        json!({"code": "run/no-progress", "deadline": "no event for 30 s", "idle": 1, "processors": 2});
    assert_judged(&judged(fake), Outcome::Timeout, &finding);
}

#[test]
fn what_the_agent_said_before_it_fell_silent_is_not_lost() {
    let mut fake = sound();
    fake.see(What::Guest(Message::Fault { text: "cannot mount /sys: EBUSY".into() }));
    fake.see(deadline());
    let judgement = judged(fake);
    let finding = json!({"code": "run/no-progress", "agent_error": "cannot mount /sys: EBUSY", "idle": null});
    assert_judged(&judgement, Outcome::Timeout, &finding);
}

#[rstest]
#[case::by_qemu(
    true,
    Outcome::Infra,
    json!({"code": "run/interrupt-lost", "processor": 0, "vector": 236})
)]
#[case::by_hardware(false, Outcome::Timeout, json!({"code": "run/no-progress", "idle": 1, "processors": 1}))]
fn an_interrupt_that_was_never_ended(
    #[case] emulated: bool,
    #[case] outcome: Outcome,
    #[case] reason: Value,
) {
    let mut fake = sound();
    fake.see(deadline());
    let text = "CPU#0\nRFL=00000246 HLT=1\ndumping local APIC state for CPU 0\nISR\t 236 \n".to_owned();
    fake.see(What::Host(Host::Processors { text, emulated }));
    assert_judged(&judged(fake), outcome, &reason);
}

/// What a kernel says of a task that waits, and answers to the NMI that asks it.
const HANG: &[&str] = &[
    "[   45.1] INFO: task agent:72 blocked for more than 30 seconds.",
    "[   45.2] INFO: task agent:72 is blocked on a mutex likely owned by task agent:70.",
];

const ANSWER: &[&str] = &[
    "[   47.0] Kernel panic - not syncing: NMI: Not continuing",
    "[   47.1] task:agent           state:D stack:0     pid:70    tgid:70",
    "[   47.1] Call Trace:",
    "[   47.1]  __schedule+0x3f4/0xb20",
    "[   47.1]  ima_pcr_extend+0x5c/0xd0",
    "[   47.2] task:agent           state:D stack:0     pid:72    tgid:72",
    "[   47.2] Call Trace:",
    "[   47.2]  __mutex_lock.constprop.0+0x37f/0x6b0",
    "[   47.2]  ima_queue_stage+0x21/0x130",
];

#[test]
fn a_kernel_that_hangs_is_told_with_the_task_its_function_and_the_holder() {
    let mut fake = sound();
    // The last is a thread of the one before.
    for (task, pid) in [(0, 70), (1, 72), (0, 72)] {
        fake.see(What::Guest(Message::TaskStarted { task, pid }));
    }
    HANG.iter().for_each(|line| fake.console(line));
    fake.see(kept(10));
    fake.see(What::Host(Host::Hang { text: "INFO: task agent:72 blocked for more than 30 seconds.".into() }));
    fake.see(What::Host(Host::NmiSent));
    ANSWER.iter().for_each(|line| fake.console(line));
    fake.see(shutdown("guest-reset"));
    let finding = json!({
        "code": "run/hangs", "line": "INFO: task agent:72 blocked for more than 30 seconds.", "task": "agent:72",
        "scenario_task": "other", "function": "ima_queue_stage", "lock": "mutex", "waiters": [],
        "holder": {
            "who": "task", "task": "agent:70", "scenario_task": "agent", "does": "waits", "function": "ima_pcr_extend",
        },
    });
    assert_judged(&judged(fake), Outcome::Timeout, &finding);
}

#[test]
fn a_silent_guest_is_told_with_what_its_tasks_wait_for() {
    let mut fake = sound();
    fake.see(deadline());
    fake.see(What::Host(Host::NmiSent));
    ANSWER.iter().for_each(|line| fake.console(line));
    let waiters = json!([
        {"task": "agent:70", "scenario_task": null, "function": "ima_pcr_extend"},
        {"task": "agent:72", "scenario_task": null, "function": "ima_queue_stage"},
    ]);
    assert_judged(&judged(fake), Outcome::Timeout, &json!({"code": "run/no-progress", "waiters": waiters}));
}
