use rstest::rstest;

use super::*;

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// What is told of each hung task of a console, and which tasks are blocked.
#[rstest]
#[case("waits_for_a_task_that_waits", include_str!("cases/waits_for_a_task_that_waits.txt"))]
#[case("holds_it_itself", include_str!("cases/holds_it_itself.txt"))]
#[case("left_taken_by_a_task_that_went_on", include_str!("cases/left_taken_by_a_task_that_went_on.txt"))]
// The same, on a console that has lines of KERN_INFO as well.
#[case("left_taken_by_a_task_that_is_shown", include_str!("cases/left_taken_by_a_task_that_is_shown.txt"))]
#[case("held_by_a_task_that_runs", include_str!("cases/held_by_a_task_that_runs.txt"))]
#[case("held_by_nobody_who_is_left", include_str!("cases/held_by_nobody_who_is_left.txt"))]
#[case("rw_semaphore", include_str!("cases/rw_semaphore.txt"))]
#[case("semaphore", include_str!("cases/semaphore.txt"))]
#[case("kernel_that_does_not_tell", include_str!("cases/kernel_that_does_not_tell.txt"))]
#[case("several_and_io", include_str!("cases/several_and_io.txt"))]
fn a_hang_is_told_with_task_function_and_holder(#[case] name: &str, #[case] console: &str) {
    let console = lines(console);
    let titles = console.iter().map(|line| without_prefix(line));
    let mut told: Vec<String> =
        titles.filter_map(|title| hung(&console, title)).map(|hung| format!("{hung:#?}")).collect();
    told.extend(blocked(&console).iter().map(|one| {
        format!("blocked: {} in {}", one.task, one.function.as_deref().unwrap_or("an unknown function"))
    }));
    insta::assert_snapshot!(name, told.join("\n"));
}

#[rstest]
#[case::softly_locked_up("watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [agent:71]")]
#[case::the_line_of_the_holder("INFO: task agent:72 is blocked on a mutex likely owned by task agent:70.")]
#[case::a_grace_period("INFO: rcu_preempt detected stalls on CPUs/tasks:")]
fn what_is_about_no_task_is_no_hung_one(#[case] title: &str) {
    assert_eq!(task(title), None);
    assert_eq!(hung(&[title.to_owned()], title), None);
}

#[rstest]
#[case::another_task("INFO: task agent:7 is blocked on a mutex likely owned by task agent:70.")]
#[case::cut("INFO: task agent:72 is blocked on a mutex likely ow")]
#[case::another_lock("INFO: task agent:72 is blocked on a spinlock likely owned by task agent:70.")]
fn what_says_no_holder_tells_none(#[case] line: &str) {
    assert_eq!(blocker(line, "agent:72"), None);
}
