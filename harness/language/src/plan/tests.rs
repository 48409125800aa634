use std::path::Path;

use insta::{assert_debug_snapshot, assert_snapshot};
use rstest::rstest;

mod verbs;

use super::*;
use crate::scenario::{self, load, load_all};

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios"))
}

/// A kernel with everything that a scenario can need today.
fn upstream() -> Capabilities {
    Capabilities {
        release: "7.3.4".to_owned(),
        interface: Interface::UPSTREAM,
        have: Capability::all().collect(),
        files: Default::default(),
        behaviours: Default::default(),
        seen: Default::default(),
        findings: Vec::new(),
    }
}

fn planned(scenario: &Scenario, parameters: &Parameters) -> Plan {
    match plan(scenario, parameters, &upstream(), Interface::UPSTREAM, 7).unwrap() {
        Planned::Plan(plan) => *plan,
        Planned::Skip(skip) => panic!("{}: {skip:?}", scenario.id),
    }
}

fn of(text: &str) -> Plan {
    let scenario = scenario::parse("it", "it.yaml", &format!("summary: s\npromise: p\n{text}")).unwrap();
    planned(&scenario, &expand(&scenario)[0])
}

#[test]
fn every_scenario_of_the_repository_plans_for_mainline() {
    let mut runs = 0;
    for scenario in load_all(folder()).unwrap() {
        for parameters in expand(&scenario) {
            // What mainline has no verb for is about other interfaces.
            let plan = match plan(&scenario, &parameters, &upstream(), Interface::UPSTREAM, 7) {
                Err(PlanError::NoSuchVerb { .. }) if scenario.id.starts_with("proposals/") => continue,
                _ => planned(&scenario, &parameters),
            };
            let ids: Vec<_> = plan.program.tasks.iter().flat_map(|task| &task.steps).collect();
            let ids: Vec<_> = ids.into_iter().chain(&plan.program.finally).map(|step| step.id).collect();
            assert!(ids.iter().copied().eq(0..u32::try_from(plan.steps.len()).unwrap()), "{}", scenario.id);
            assert!(plan.steps.iter().zip(&ids).all(|(step, id)| step.id == *id));
            let last = plan.marks.last().unwrap();
            assert!(
                last.does == MarkAction::Quote && last.step == *ids.last().unwrap(),
                "{}: ends without a quote",
                scenario.id
            );
            assert!(plan.program.token != 0);
            runs += 1;
        }
    }
    assert!(runs >= 30, "{runs}");
}

/// The clock of a step.
fn clock(plan: &Plan, id: u32) -> String {
    let mut steps = plan.program.tasks.iter().flat_map(|task| &task.steps);
    let clock = steps.find(|step| step.id == id).and_then(|step| step.clock);
    clock.map(|clock| format!(" by clock {clock}")).unwrap_or_default()
}

/// A plan a line a step, as far as a reader follows it.
fn outline(plan: &Plan) -> String {
    let mut out = String::new();
    for step in &plan.steps {
        let task = plan.program.tasks.get(usize::from(step.task)).map_or("finally", |task| &task.name);
        let ops = plan
            .program
            .tasks
            .iter()
            .flat_map(|task| &task.steps)
            .chain(&plan.program.finally)
            .find(|program| program.id == step.id)
            .map(|program| program.ops.iter().map(|op| format!("        {op:?}\n")).collect::<String>())
            .unwrap_or_default();
        let mark = step.mark.map(|mark| format!(" mark {mark}")).unwrap_or_default();
        out += &format!(
            "{:>3} {task}:{} {} [{:?}] => {:?}{mark}{}\n{ops}",
            step.id,
            step.line,
            step.text,
            step.action,
            step.expect,
            clock(plan, step.id)
        );
        for reading in &step.reads {
            out += &format!("        reads {}: {:?}\n", reading.op, reading.of);
        }
    }
    for mark in &plan.marks {
        out += &format!(
            "mark {} at step {}{}\n",
            mark.number,
            mark.step,
            match mark.does {
                MarkAction::Read => String::new(),
                MarkAction::Quote => ", quote".to_owned(),
                other => format!(", {other:?}"),
            }
        );
    }
    out
}

#[rstest]
#[case("stage/once")]
#[case("trim/while-staged")]
#[case("access/two-writers")]
#[case("access/one-writer-many-files")]
#[case("htable/flushed-by-delete")]
fn plans_say_what_is_done(#[case] id: &str) {
    let scenario = load(folder(), id).unwrap();
    let plan = planned(&scenario, &expand(&scenario)[0]);
    insta::with_settings!({snapshot_suffix => id.replace('/', "-")}, {
        assert_snapshot!(outline(&plan));
    });
}

#[test]
fn a_plan_is_the_same_again_and_survives_storing() {
    let scenario = load(folder(), "stage/once").unwrap();
    let parameters = &expand(&scenario)[1];
    let plan = planned(&scenario, parameters);
    assert_eq!(plan, planned(&scenario, parameters));
    let text = serde_json::to_string_pretty(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    assert_snapshot!(text);
}

#[test]
fn runs_are_told_apart_by_their_tokens() {
    let scenario = load(folder(), "stage/once").unwrap();
    let tokens: BTreeSet<_> = expand(&scenario)
        .iter()
        .flat_map(|parameters| {
            (0..4).map(|seed| {
                match plan(&scenario, parameters, &upstream(), Interface::UPSTREAM, seed).unwrap() {
                    Planned::Plan(plan) => plan.program.token,
                    Planned::Skip(skip) => panic!("{skip:?}"),
                }
            })
        })
        .collect();
    assert_eq!(tokens.len(), 8);
}

#[test]
fn an_unmet_need_is_a_skip_that_says_what_would_meet_it() {
    let scenario = load(folder(), "htable/flush-refuses-trim").unwrap();
    let mut kernel = upstream();
    kernel.interface = Interface::READ_ONLY;
    kernel.release = "6.12.117".to_owned();
    for lacks in [Capability::Staging, Capability::Trim, Capability::FlushHtable] {
        kernel.have.remove(&lacks);
    }
    match plan(&scenario, &Parameters::new(), &kernel, kernel.interface, 1).unwrap() {
        Planned::Skip(skip) => assert_debug_snapshot!(skip),
        Planned::Plan(_) => panic!("planned"),
    }
}

#[test]
fn a_kernel_without_staging_still_measures() {
    let text =
        "summary: s\npromise: p\nsteps:\n  - measure: 3\n  - view: {file: ascii, expect: {records: 4}}\n";
    let scenario = scenario::parse("it", "it.yaml", text).unwrap();
    let mut kernel = upstream();
    kernel.interface = Interface::READ_ONLY;
    for lacks in [Capability::Staging, Capability::Trim, Capability::FlushHtable, Capability::BankFiles] {
        kernel.have.remove(&lacks);
    }
    match plan(&scenario, &Parameters::new(), &kernel, kernel.interface, 1).unwrap() {
        Planned::Plan(plan) => assert_snapshot!(outline(&plan)),
        Planned::Skip(skip) => panic!("{skip:?}"),
    }
}

#[test]
fn parameters_that_the_matrix_lacks_are_an_error() {
    let scenario = load(folder(), "stage/once").unwrap();
    let other = Parameters::from([("files".to_owned(), "2".to_owned())]);
    let error = plan(&scenario, &other, &upstream(), Interface::UPSTREAM, 1).unwrap_err();
    assert!(matches!(error, PlanError::UnknownParameters { .. }));
}

#[rstest]
// Three files, then two of five that are new.
#[case::duplicates("  - measure: {files: 3, name: a}\n  - measure: {files: 5, name: a}\n  - trim: all\n", 6)]
#[case::stated("  - measure: {files: 3, expect: {new-records: 2}}\n  - trim: all\n", 3)]
#[case::staged("  - measure: 3\n  - stage\n  - measure: 2\n  - trim: all\n", 2)]
#[case::refused("  - measure: 3\n  - trim: {records: 9, expect: ENOENT}\n  - trim: 1\n  - trim: all\n", 3)]
fn all_records_are_counted_before_the_run(#[case] steps: &str, #[case] records: u64) {
    let plan = of(&format!("steps:\n{steps}"));
    assert!(plan.steps.iter().any(|step| step.action == Action::Trim { records }), "{:#?}", plan.steps);
}

#[rstest]
#[case::anything("  - measure: {files: 3, expect: any}\n  - trim: all\n")]
#[case::written("  - open: {as: f, file: /m/x, flags: create}\n  - close: f\n  - trim: all\n")]
#[case::after_a_boot_policy("  - kexec: {args: ima_policy=tcb}\n  - trim: all\n")]
fn all_records_that_cannot_be_counted_are_an_error(#[case] steps: &str) {
    let text = format!("summary: s\npromise: p\nsteps:\n{steps}");
    let scenario = scenario::parse("it", "it.yaml", &text).unwrap();
    let error = plan(&scenario, &Parameters::new(), &upstream(), Interface::UPSTREAM, 1).unwrap_err();
    assert!(matches!(error, PlanError::UnknownCount { .. }), "{error}");
}

/// What the boot's own policy has recorded by then nobody knows; what a file adds is known as ever.
#[rstest]
#[case::none("maxcpus=1", Expect::Records(4))]
#[case::tcb("ima_policy=tcb", Expect::Ok)]
#[case::critical_data("ima_policy=critical_data", Expect::Ok)]
#[case::the_old_word("ima_tcb", Expect::Ok)]
#[case::template("ima_template=ima-sig", Expect::Records(4))]
fn a_policy_of_the_boot_leaves_the_lists_length_open(#[case] word: &str, #[case] saved: Expect) {
    let head = format!("machine: {{kernel-args: [\"{word}\"]}}\n");
    let plan = of(&format!("{head}steps:\n  - measure: 3\n  - stage\n  - save\n  - delete\n"));
    assert_eq!(plan.steps[0].expect, Expect::NewRecords(3), "{:#?}", plan.steps[0]);
    let save = plan.steps.iter().find(|step| step.action == Action::Save).unwrap();
    assert_eq!(save.expect, saved);
}

#[test]
fn a_raw_request_has_its_verbs_action() {
    let plan = of("steps:\n  - measure: 1\n\
        \x20 - open: {as: s, file: staged-binary, flags: read-write}\n\
        \x20 - open: {as: c, file: ascii, bank: sha256, flags: write}\n\
        \x20 - write: {to: s, text: \"A\\n\"}\n\
        \x20 - read: s\n\
        \x20 - write: {to: s, text: \"D\\n\"}\n\
        \x20 - write: {to: c, text: \"+7\\n\", expect: ENOENT}\n\
        \x20 - write: {to: c, text: \"A\\n\", expect: EINVAL}\n");
    let actions: Vec<_> = plan.steps.iter().filter(|step| step.line > 0).map(|step| step.action).collect();
    use Action::{Delete, Measure, Save, Stage, SystemCall, Trim};
    assert_eq!(
        actions,
        [Measure { files: 1 }, SystemCall, SystemCall, Stage, Save, Delete, Trim { records: 7 }, SystemCall]
    );
}

#[test]
fn no_checkpoint_where_it_would_disturb() {
    // A descriptor held for writing would make the checkpoint's own reads fail.
    let plan = of(
        "steps:\n  - measure: 1\n  - open: {as: w, file: binary, flags: write}\n  - stage\n  - close: w\n",
    );
    assert_eq!(plan.marks.len(), 1);
    // Another task may be anywhere.
    let plan = of("steps:\n  - measure: 1\n  - stage\ntasks:\n  other:\n    - measure: 1\n");
    assert_eq!(plan.marks.len(), 1);
    // Reading ten thousand records after every step would take longer than the scenario.
    let plan = of("steps:\n  - measure: 10000\n  - stage\n  - save\n  - delete\n");
    assert_eq!(plan.marks.len(), 1);
    let plan = of("steps:\n  - measure: 10\n  - stage\n  - save\n  - delete\n");
    assert_eq!(plan.marks.len(), 4);
}

/// What reading would have refused is no plan either: nothing is put in place of what a name does not stand for.
#[rstest]
#[case::descriptor(
    "  - open: {as: list, file: binary}\n  - close: list\n",
    "",
    "`list` stands for no descriptor"
)]
#[case::hold(
    "  - await-blocked: holder\n  - release: tpm\n",
    "tasks:\n  holder:\n    - hold: tpm\n",
    "`tpm` stands for no hold"
)]
#[case::task(
    "  - open: {as: list, file: binary}\n  - send-descriptor: {of: list, to: other}\n",
    "tasks:\n  other:\n    - receive-descriptor: list\n",
    "`other` stands for no task"
)]
fn a_name_that_stands_for_nothing_is_no_plan(#[case] steps: &str, #[case] tasks: &str, #[case] says: &str) {
    let text = format!("summary: s\npromise: p\nsteps:\n{steps}{tasks}");
    let mut scenario = scenario::parse("it", "it.yaml", &text).unwrap();
    let parameters = expand(&scenario)[0].clone();
    planned(&scenario, &parameters);
    let tasks = &mut scenario.variants[0].tasks;
    match tasks.get_mut(1) {
        Some(other) if other.name == "other" => other.name = "renamed".to_owned(),
        Some(holder) => drop(holder.steps.remove(0)),
        None => drop(tasks[0].steps.remove(0)),
    }
    let error = plan(&scenario, &parameters, &upstream(), Interface::UPSTREAM, 7).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
}
