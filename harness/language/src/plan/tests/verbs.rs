//! Plans of what processes, kernels and chance do.

use imalab_schedule::TaskReport;
use imalab_wire::{Op, Slot, Start};

use super::*;

/// Steps of `main`, and further tasks.
fn tasks(steps: &str, tasks: &str) -> Plan {
    of(&format!(
        "steps:\n{steps}{}",
        if tasks.is_empty() { String::new() } else { format!("tasks:\n{tasks}") }
    ))
}

/// What each step of a task does, without those that the planner added.
fn ops<'p>(plan: &'p Plan, task: &str) -> Vec<&'p Op> {
    let tasks = plan.program.tasks.iter().filter(|other| other.name == task);
    let own = |id: u32| plan.steps.iter().any(|step| step.id == id && step.line > 0);
    tasks.flat_map(|task| &task.steps).filter(|step| own(step.id)).flat_map(|step| &step.ops).collect()
}

fn slot(op: &Op) -> Slot {
    match op {
        Op::Open { slot, .. }
        | Op::Read { slot, .. }
        | Op::Close { slot }
        | Op::ReceiveDescriptor { slot } => *slot,
        Op::Duplicate { to, .. } => *to,
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::processes(
    "processes",
    "  - open: {as: list, file: staged-binary, flags: read-write}\n\
    \x20 - fork: child\n\
    \x20 - open: {as: own, file: ascii}\n\
    \x20 - read: {from: own, limit: 100}\n\
    \x20 - close: list\n\
    \x20 - kill: child\n\
    \x20 - drop-capability: sys-admin\n\
    \x20 - set-user: 1000\n\
    \x20 - exit: 3\n",
    "  child:\n\
    \x20   - open: {as: own, file: binary}\n\
    \x20   - read: {from: own, expect: {records: 1}}\n\
    \x20   - write: {to: list, text: \"A\\n\", at: 7}\n\
    \x20   - receive-descriptor: never\n\
    \x20 sender:\n\
    \x20   - open: {as: sent, file: count}\n\
    \x20   - send-descriptor: {of: sent, to: child}\n"
)]
#[case::threads(
    "threads",
    "  - open: {as: before, file: binary}\n\
    \x20 - thread: other\n\
    \x20 - save\n\
    \x20 - read: before\n\
    \x20 - read: shared\n\
    \x20 - fork: child\n",
    "  other:\n\
    \x20   - open: {as: shared, file: staged-binary}\n\
    \x20   - save\n\
    \x20 child:\n\
    \x20   - close: before\n\
    \x20   - open: {as: later, file: ascii}\n\
    \x20   - save\n"
)]
#[case::hold(
    "hold",
    "  - background: {as: holder, steps: [{hold: tpm}]}\n\
    \x20 - await-blocked: holder\n\
    \x20 - background: {as: appender, steps: [{measure: {files: 1, expect: blocked}}]}\n\
    \x20 - await-blocked: appender\n\
    \x20 - view: count\n\
    \x20 - release: tpm\n\
    \x20 - tpm-fault: {answer: retry, times: 3, skip: 1}\n\
    \x20 - tpm-fault: {late-ms: 400, command: 0x17e}\n\
    \x20 - tpm-fault: {lost: true, carried-out: true}\n",
    ""
)]
#[case::task_hold(
    "task-hold",
    "  - hold: {task: one, at: mutex_lock, from: ima_queue_stage, until: {task: two, at: ima_queue_stage+0x2f}}\n\
    \x20 - hold: {task: two, at: ima_queue_stage, until: {task: one, step: 2}}\n\
    \x20 - fork: one\n\
    \x20 - fork: two\n",
    "  one:\n\
    \x20   - measure: 1\n\
    \x20   - stage\n\
    \x20 two:\n\
    \x20   - stage\n\
    \x20   - exit: 0\n"
)]
#[case::kexec(
    "kexec",
    "  - measure: 3\n\
    \x20 - stage\n\
    \x20 - measure: 2\n\
    \x20 - kexec-load: {args: [quiet, ima_flush_htable]}\n\
    \x20 - kexec-execute\n\
    \x20 - stage\n\
    \x20 - save\n\
    \x20 - delete\n\
    \x20 - kexec-execute: {expect: EPERM}\n\
    \x20 - kexec: other\n\
    \x20 - kexec: {on-crash: true}\n",
    ""
)]
#[case::attest(
    "attest",
    "  - measure: 3\n  - attest\n  - measure: 2\n  - attest: stage\n  - attest: {how: stage, expect: ENOENT}\n",
    ""
)]
#[case::stress(
    "stress",
    "  - stress: {ms: 50, times: 5, choose: [measure, {measure: {files: 2, name: same}}, [stage, save, delete], {attest: stage}]}\n",
    ""
)]
fn verbs_become_operations(#[case] name: &str, #[case] steps: &str, #[case] others: &str) {
    let plan = tasks(steps, others);
    insta::with_settings!({snapshot_suffix => name}, {
        assert_snapshot!(outline(&plan));
    });
}

#[test]
fn a_child_goes_on_with_its_parents_numbers() {
    let plan = tasks(
        "  - open: {as: a, file: binary}\n  - open: {as: b, file: ascii}\n  - fork: child\n  - close: a\n  - open: {as: c, file: count}\n",
        "  child:\n    - close: b\n    - open: {as: d, file: count}\n    - read: a\n",
    );
    let main: Vec<_> =
        ops(&plan, "main").into_iter().filter(|op| !matches!(op, Op::Fork { .. })).map(slot).collect();
    let child: Vec<_> = ops(&plan, "child").into_iter().map(slot).collect();
    // Both take the number that each has free.
    assert_eq!((main.as_slice(), child.as_slice()), ([1, 2, 1, 1].as_slice(), [2, 2, 1].as_slice()));
}

#[test]
fn threads_never_take_each_others_numbers() {
    let plan = tasks(
        "  - thread: other\n  - thread: third\n  - open: {as: a, file: binary}\n  - close: a\n  - save\n  - open: {as: b, file: ascii}\n",
        "  other:\n    - open: {as: c, file: binary}\n    - save\n  third:\n    - read: {from: a, expect: any}\n    - save\n    - close: c\n",
    );
    let of = |task: &str, wanted: fn(&Op) -> bool| -> BTreeSet<Slot> {
        ops(&plan, task).into_iter().filter(|op| wanted(op)).map(slot).collect()
    };
    let all = |task| of(task, |op| matches!(op, Op::Open { .. } | Op::Read { .. } | Op::Close { .. }));
    let opened = |task| of(task, |op| matches!(op, Op::Open { .. }));
    assert!(opened("main").is_disjoint(&opened("other")) && opened("other").is_disjoint(&opened("third")));
    assert_eq!((all("main").len(), all("other").len(), all("third").len()), (3, 2, 3));
    // What one opens by name the others use by the same number.
    assert!(opened("main").intersection(&all("third")).count() == 1);
    assert!(opened("other").intersection(&all("third")).count() == 1);
}

#[test]
fn the_child_of_a_thread_keeps_clear_of_the_other_threads() {
    let plan = tasks(
        "  - thread: other\n  - save\n",
        "  other:\n    - open: {as: a, file: binary}\n    - fork: child\n  child:\n    - save\n    - open: {as: b, file: ascii}\n    - close: a\n",
    );
    let slots = |task: &str| -> BTreeSet<Slot> {
        ops(&plan, task).into_iter().filter(|op| matches!(op, Op::Open { .. })).map(slot).collect()
    };
    assert!(slots("child").is_disjoint(&slots("main")), "{plan:#?}");
    assert!(slots("child").is_disjoint(&slots("other")), "{plan:#?}");
}

/// The readings of a list by raw calls, as the text of their steps.
fn readings(plan: &Plan) -> Vec<&str> {
    plan.steps
        .iter()
        .filter(|step| step.line > 0 && !step.reads.is_empty())
        .map(|step| step.text.as_str())
        .collect()
}

#[rstest]
#[case::alone("  - read: a\n", &["read a"])]
#[case::once_alone("  - read: a\n  - read: a\n", &["read a"])]
#[case::after_a_seek("  - seek: {of: a, to: 0}\n  - read: a\n", &[])]
#[case::before_a_seek("  - read: a\n  - seek: {of: a, to: 0}\n", &["read a"])]
#[case::after_half("  - read: {from: a, limit: 3}\n  - read: a\n", &[])]
#[case::after_a_failure("  - read: {from: a, bad-pointer: 5, expect: EFAULT}\n  - read: a\n", &["read a"])]
#[case::after_a_pread("  - read: {from: a, at: 5}\n  - read: a\n", &["read a"])]
#[case::by_another_name("  - duplicate: {from: a, as: b}\n  - read: b\n  - read: a\n", &["read b"])]
#[case::after_a_splice("  - splice: {of: a, bytes: 3}\n  - read: a\n", &[])]
fn only_a_list_read_from_start_to_end_is_whole(#[case] steps: &str, #[case] whole: &[&str]) {
    let plan = of(&format!("steps:\n  - open: {{as: a, file: binary}}\n{steps}"));
    assert_eq!(readings(&plan), whole);
    // The pieces go out all the same, for those who follow offsets.
    let unsent = ops(&plan, "main")
        .into_iter()
        .any(|op| matches!(op, Op::Read { send: false, .. } | Op::ReadAt { send: false, .. }));
    assert!(!unsent);
}

#[rstest]
#[case::the_child("  - fork: child\n", "  child:\n    - read: a\n", &["read a"])]
#[case::both("  - fork: child\n  - read: a\n", "  child:\n    - read: a\n", &[])]
#[case::the_receiver("  - send-descriptor: {of: a, to: child}\n", "  child:\n    - receive-descriptor: b\n    - read: b\n", &["read b"])]
#[case::one_of_two_senders(
    "  - send-descriptor: {of: a, to: child}\n",
    "  child:\n    - receive-descriptor: b\n    - read: b\n  third:\n    - open: {as: c, file: count}\n    - send-descriptor: {of: c, to: child}\n",
    &[]
)]
#[case::a_thread("  - thread: child\n", "  child:\n    - read: a\n", &["read a"])]
fn an_offset_that_others_share_is_followed(
    #[case] steps: &str,
    #[case] others: &str,
    #[case] whole: &[&str],
) {
    let plan = tasks(&format!("  - open: {{as: a, file: staged-binary}}\n{steps}"), others);
    assert_eq!(readings(&plan), whole);
    let saves = plan.steps.iter().filter(|step| step.action == Action::Save && step.line > 0).count();
    assert_eq!(saves, whole.len());
}

#[test]
fn a_taken_descriptor_means_what_its_owner_transfers_by() {
    let owner = "  owner:\n    - open: {as: a, file: staged-binary, flags: read-write}\n    - write: {to: a, text: \"A\\n\"}\n    - close: a\n";
    let actions = |steps: &str| {
        let taker = format!("{steps}  - write: {{to: t, hex: 410a}}\n");
        let plan = tasks(&taker, owner);
        plan.steps
            .iter()
            .filter(|step| step.task == 0 && step.line > 0)
            .map(|step| step.action)
            .collect::<Vec<_>>()
    };
    use Action::{Stage, SystemCall};
    let taken = actions("  - await-blocked: owner\n  - take-descriptor: {from: owner, as: t}\n");
    assert_eq!(taken, [SystemCall, SystemCall, Stage]);
}

#[test]
fn a_received_descriptor_means_what_it_was_opened_for() {
    let plan = tasks(
        "  - measure: 1\n  - open: {as: a, file: staged-binary, flags: read-write}\n  - duplicate: {from: a, as: b}\n  - send-descriptor: {of: b, to: child}\n",
        "  child:\n    - receive-descriptor: x\n    - write: {to: x, hex: 410a}\n    - read: x\n    - write: {to: x, text: \"D\\n\"}\n",
    );
    let child = plan.steps.iter().filter(|step| step.task == 1).map(|step| step.action);
    use Action::{Delete, Save, Stage, SystemCall};
    assert_eq!(child.collect::<Vec<_>>(), [SystemCall, Stage, Save, Delete]);
}

#[test]
fn tasks_stand_after_those_that_start_them() {
    let plan = of(
        "tasks:\n  late: {boot: 1, steps: [measure]}\n  child:\n    - fork: grandchild\n  grandchild:\n    - measure\n\
        \x20 first:\n    - thread: child\n    - kexec\n",
    );
    let order: Vec<_> =
        plan.program.tasks.iter().map(|task| (task.name.as_str(), task.boot, task.start)).collect();
    assert_eq!(
        order,
        [
            ("first", 0, Start::Boot),
            ("child", 0, Start::Spawned),
            ("grandchild", 0, Start::Spawned),
            ("late", 1, Start::Boot),
        ]
    );
    // A boot of which nothing is asked is still looked at.
    let plan = of("steps:\n  - kexec\n");
    assert_eq!(plan.program.tasks.last().map(|task| (task.boot, task.steps.len())), Some((1, 0)));
}

#[rstest]
#[case::carried("  - measure: 3\n  - stage\n  - measure: 2\n  - kexec\n  - trim: all\n", Some(7))]
#[case::measured_again(
    "  - measure: {files: 3, name: a}\n  - kexec\n  - measure: {files: 3, name: a}\n  - trim: all\n",
    Some(8)
)]
#[case::after_attesting("  - measure: 3\n  - attest: stage\n  - measure: 2\n  - trim: all\n", Some(2))]
#[case::violated("  - violate: {files: 1, expect: {new-records: 2}}\n  - trim: all\n", Some(3))]
#[case::violated_unsaid("  - violate\n  - trim: all\n", None)]
#[case::trimmed_by_attesting("  - attest\n  - trim: all\n", None)]
#[case::by_chance("  - stress: {ms: 1, choose: [measure]}\n  - trim: all\n", None)]
#[case::new_rules("  - load-policy: {rules: \"measure func=MMAP_CHECK\"}\n  - trim: all\n", None)]
#[case::spliced(
    "  - open: {as: a, file: binary, flags: write}\n  - splice: {of: a, text: \"1\\n\", expect: EINVAL}\n  - close: a\n  - trim: all\n",
    Some(1)
)]
fn all_records_are_counted_over_what_processes_and_kernels_do(
    #[case] steps: &str,
    #[case] records: Option<u64>,
) {
    let text = format!("summary: s\npromise: p\nsteps:\n{steps}");
    let scenario = scenario::parse("it", "it.yaml", &text).unwrap();
    let planned = plan(&scenario, &Parameters::new(), &upstream(), Interface::UPSTREAM, 1);
    match (planned, records) {
        (Ok(Planned::Plan(plan)), Some(records)) => {
            assert!(
                plan.steps.iter().any(|step| step.action == Action::Trim { records }),
                "{:#?}",
                plan.steps
            );
        }
        (Err(error), None) => assert!(matches!(error, PlanError::UnknownCount { .. }), "{error}"),
        (planned, _) => panic!("{planned:?}"),
    }
}

#[rstest]
#[case::default("", true)]
#[case::with_execution(
    "policy: |\n  # both\n  measure func=FILE_CHECK mask=MAY_READ fsname=tmpfs\n  measure func=BPRM_CHECK\n",
    true
)]
#[case::other("policy: measure func=FILE_CHECK\n", false)]
#[case::with_more(
    "policy: |\n  measure func=FILE_CHECK mask=MAY_READ fsname=tmpfs\n  measure func=FILE_CHECK mask=MAY_WRITE\n",
    false
)]
fn new_records_are_known_under_a_known_policy(#[case] policy: &str, #[case] known: bool) {
    let plan = of(&format!("{policy}steps:\n  - measure: 3\n"));
    assert_eq!(plan.steps[0].expect, if known { Expect::NewRecords(3) } else { Expect::Ok });
}

#[test]
fn chance_is_decided_by_the_seed() {
    let text = "summary: s\npromise: p\nsteps:\n  - stress: {ms: 9, times: 60, choose: [measure, {trim: 1}, [stage, save, delete]]}\n";
    let scenario = scenario::parse("it", "it.yaml", text).unwrap();
    let texts = |seed| -> Vec<String> {
        match plan(&scenario, &Parameters::new(), &upstream(), Interface::UPSTREAM, seed).unwrap() {
            Planned::Plan(plan) => plan.steps.iter().map(|step| step.text.clone()).collect(),
            Planned::Skip(skip) => panic!("{skip:?}"),
        }
    };
    assert_eq!(texts(3), texts(3));
    assert_ne!(texts(3), texts(4));
    let all = texts(3);
    for (from, to) in [("stage", "save"), ("save", "delete"), ("delete", "stress: apart")] {
        assert!(all.windows(2).all(|two| two[0] != from || two[1] == to), "{all:#?}");
    }
    for chosen in ["stage", "trim 1"] {
        assert!(all.iter().filter(|text| *text == chosen).count() > 5, "{all:#?}");
    }
}

#[test]
fn what_a_scenario_does_gives_it_time() {
    let seconds = |steps: &str| of(&format!("steps:\n{steps}")).budget.total_s;
    let least = seconds("  - stage\n");
    let stress = |ms: u32| seconds(&format!("  - stress: {{ms: {ms}, choose: [stage, [stage, save]]}}\n"));
    assert_eq!((stress(5_000), stress(60_000)), (least + 5, least + 60));
    assert!(seconds("  - kexec\n  - kexec\n") >= least + 100);
    assert_eq!(seconds("  - tpm-fault: {late-ms: 2000, times: 4}\n"), least + 8);
}

#[rstest]
#[case("  - kexec-load\n", Capability::Kexec)]
#[case("  - kexec\n", Capability::KexecCarry)]
#[case("  - kexec-load: {on-crash: true, expect: any}\n", Capability::CrashKernel)]
#[case("  - kexec: {on-crash: true}\n", Capability::CrashKernel)]
#[case("  - attest\n", Capability::Trim)]
#[case("  - attest: stage\n", Capability::Staging)]
#[case("  - stress: {ms: 1, choose: [{trim: 1}]}\n", Capability::Trim)]
fn verbs_need_what_they_do(#[case] steps: &str, #[case] needed: Capability) {
    let text = format!("summary: s\npromise: p\nsteps:\n{steps}");
    let scenario = scenario::parse("it", "it.yaml", &text).unwrap();
    assert!(needs(&scenario, &scenario.variants[0]).contains(&needed));
}

#[rstest]
#[case::upstream(Interface::UPSTREAM, true)]
#[case::transaction(Interface::TRANSACTION, true)]
#[case::rfc_v2(Interface::RFC_V2, true)]
#[case::two_command(Interface::TWO_COMMAND, true)]
#[case::none(Interface::READ_ONLY, false)]
fn attesting_by_trim_needs_an_interface_that_removes_records(
    #[case] interface: Interface,
    #[case] can: bool,
) {
    let text = "summary: s\npromise: p\nsteps:\n  - attest\n";
    let scenario = scenario::parse("it", "it.yaml", text).unwrap();
    let mut kernel = upstream();
    kernel.interface = interface;
    match plan(&scenario, &Parameters::new(), &kernel, interface, 1) {
        Ok(Planned::Plan(_)) => assert!(can),
        Err(PlanError::NoSuchVerb { .. }) => assert!(!can),
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::one_file(Interface::RFC_V2)]
#[case::by_number(Interface::TWO_COMMAND)]
fn attesting_by_staging_keeps_the_file_open(#[case] interface: Interface) {
    let text = "summary: s\npromise: p\nsteps:\n  - attest: stage\n";
    let scenario = scenario::parse("it", "it.yaml", text).unwrap();
    let mut kernel = upstream();
    kernel.interface = interface;
    let Ok(Planned::Plan(plan)) = plan(&scenario, &Parameters::new(), &kernel, interface, 1) else {
        panic!()
    };
    let opened = ops(&plan, "main").into_iter().filter(|op| matches!(op, Op::Open { .. })).count();
    let closed = ops(&plan, "main").into_iter().filter(|op| matches!(op, Op::Close { .. })).count();
    assert_eq!((opened, closed), (1, 1));
}

/// A posting has errors of its own, and a file that says by one that nothing is staged.
#[rstest]
#[case(Interface::RFC_V2_POSTED, Expect::Any, Some(2))]
#[case(Interface::V4_POSTED, Expect::Any, None)]
#[case(Interface::RFC_V2, Expect::Errno(116), None)]
fn a_posting_is_held_to_its_own_errors(
    #[case] interface: Interface,
    #[case] expected: Expect,
    #[case] nothing: Option<i32>,
) {
    let text =
        "summary: s\npromise: p\nsteps:\n  - measure: 2\n  - stage\n  - trim: {records: 1, expect: ESTALE}\n";
    let scenario = scenario::parse("it", "it.yaml", text).unwrap();
    let mut kernel = upstream();
    kernel.interface = interface;
    let Ok(Planned::Plan(plan)) = plan(&scenario, &Parameters::new(), &kernel, interface, 1) else {
        panic!()
    };
    let trim = plan.steps.iter().find(|step| step.text.starts_with("trim")).unwrap();
    assert_eq!(trim.expect, expected);
    // The last checkpoint reads every file, whatever is staged.
    let path = |op: &Op| match op {
        Op::Open { path, .. } => path.contains("_staged"),
        _ => false,
    };
    let ops: Vec<&Op> = plan.program.finally.iter().flat_map(|step| &step.ops).collect();
    let staged: Vec<_> = ops.windows(2).filter(|pair| path(pair[0])).map(|pair| pair[1]).collect();
    assert!(!staged.is_empty());
    for read in staged {
        assert!(matches!(read, Op::Read { nothing: found, .. } if *found == nothing), "{read:?}");
    }
}

/// What the tasks tell, in order, with the lines of the scenario where it stands.
fn told(plan: &Plan, task: &str) -> Vec<(TaskReport, u32)> {
    let task = plan.program.tasks.iter().find(|other| other.name == task).unwrap();
    let line = |id: u32| plan.steps.iter().find(|step| step.id == id).unwrap().line;
    let told = |step: &imalab_wire::Step| match step.ops.as_slice() {
        [Op::Tell { number }] => Some((TaskReport::of(*number).unwrap(), line(step.id))),
        _ => None,
    };
    task.steps.iter().filter_map(told).collect()
}

#[test]
fn tasks_tell_who_they_are_and_what_holds_wait_for() {
    let plan = tasks(
        "  - hold: {task: one, at: ima_stage+0x10, until: {task: two, step: 1}}\n\
        \x20 - measure: 1\n",
        "  one: [measure]\n\
        \x20 two: [measure, measure]\n\
        \x20 three: [measure]\n",
    );
    assert_eq!(told(&plan, "main"), [(TaskReport::Arms(0), 4)]);
    assert_eq!(told(&plan, "one"), [(TaskReport::Is(1), 0), (TaskReport::Over(1), 0)]);
    assert_eq!(
        told(&plan, "two"),
        [(TaskReport::Is(2), 0), (TaskReport::Ends(2, 1), 0), (TaskReport::Over(2), 0)]
    );
    assert_eq!(told(&plan, "three"), []);
    let [hold] = plan.holds.as_slice() else { panic!("{:?}", plan.holds) };
    assert_eq!((hold.line, hold.task, hold.at.to_string()), (4, 1, "ima_stage+0x10".to_owned()));
    assert_eq!(hold.until, HeldUntil::Ends { task: 2, step: 1 });
    // A plan of before knew nothing of it.
    let mut json = serde_json::to_value(&plan).unwrap();
    json.as_object_mut().unwrap().remove("holds");
    assert_eq!(serde_json::from_value::<Plan>(json).unwrap().holds, []);
}
