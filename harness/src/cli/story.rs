//! A schedule as a story: a line for each time that a processor did not go on.

use imalab_language::plan::Hold;
use imalab_run::Lines;
use imalab_schedule::{Does, PinEnd, PinReport, Preemption, Report, Symbols};
use imalab_wire::Program;

use crate::report::run_dir::SCHEDULE;

/// Lines that are told; `schedule.json` has all.
const SHOWN: usize = 20;

/// What a story is made of.
pub(super) struct Story<'a> {
    pub(super) report: &'a Report,
    pub(super) holds: &'a [Hold],
    pub(super) program: &'a Program,
    pub(super) symbols: &'a Symbols,
    /// Source lines, where a build of the kernel has them.
    pub(super) lines: Option<&'a Lines>,
}

impl Story<'_> {
    /// In the order of the guest's instructions.
    pub(super) fn lines(&self) -> Vec<String> {
        let preempted = self.report.preemptions.iter().map(|one| (one.instructions, self.preempted(one)));
        let held = self.report.pins.iter().enumerate().filter_map(|(at, pin)| self.held(at, pin));
        let mut all: Vec<(u64, String)> = preempted.chain(held).collect();
        all.sort_by_key(|(instructions, _)| *instructions);
        let more = all.len().saturating_sub(SHOWN);
        let rest = (more > 0).then(|| format!("  and {more} more: {SCHEDULE} of the bundle"));
        all.into_iter().take(SHOWN).map(|(_, line)| line).chain(rest).collect()
    }

    fn preempted(&self, one: &Preemption) -> String {
        let does = match one.does {
            Does::Preempt => "is preempted",
            Does::Hold => "is held",
        };
        let at = self.symbols.name(one.address);
        let line = self.lines.and_then(|lines| lines.of(one.address));
        let line = line.map_or_else(String::new, |line| format!(" ({line})"));
        let holding = if one.mutex { ", holding ima_extend_list_mutex" } else { "" };
        let lists = one.records.map_or_else(String::new, |records| {
            format!("; lists: {} current, {} staged", records.current, records.staged)
        });
        format!(
            "  point {}: CPU {} {does} at {at}{line}{holding}, after {} instructions{lists}",
            one.event, one.cpu, one.instructions
        )
    }

    /// A hold of the scenario, if anybody was held.
    fn held(&self, at: usize, pin: &PinReport) -> Option<(u64, String)> {
        let (hold, cpu, instructions) = (self.holds.get(at)?, pin.cpu?, pin.instructions?);
        let task = self.program.tasks.get(usize::from(hold.task)).map_or("", |task| task.name.as_str());
        let end = if pin.end == PinEnd::Ordered { "" } else { ", in vain" };
        let line = hold.line;
        Some((
            instructions,
            format!(
                "  line {line}: CPU {cpu} is held at {}, task `{task}`, after {instructions} instructions{end}",
                hold.at
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use imalab_language::plan::HeldUntil;
    use imalab_language::scenario::Place;
    use imalab_schedule::{End, Records, SCHEMA};
    use imalab_wire::{Setup, Start, Task};

    use super::*;

    fn report(preemptions: Vec<Preemption>, pins: Vec<PinReport>) -> Report {
        Report {
            schema: SCHEMA,
            hash: String::new(),
            end: End::Reached,
            events: 10,
            tpm_commands: 1,
            instructions: 90,
            expired: 0,
            preemptions,
            left_out: 0,
            holds: Vec::new(),
            pins,
            coverage: None,
            from: None,
        }
    }

    fn program() -> Program {
        let task = |name: &str| Task { name: name.into(), boot: 0, start: Start::Boot, steps: Vec::new() };
        let (tasks, setup) = (["main", "b"].map(task).to_vec(), Setup::default());
        Program { token: 1, setup, tasks, finally: Vec::new(), end: imalab_wire::End::PowerOff }
    }

    #[test]
    fn a_story_says_who_stopped_where_with_what() {
        let symbols =
            Symbols::parse("ffffffff81000000 T _text\nffffffff81000100 T ima_queue_stage\n").unwrap();
        let one = |event, does, address, instructions| Preemption {
            event,
            does,
            cpu: 1,
            address,
            instructions,
            mutex: event == 3,
            records: (event == 3).then_some(Records { current: 7, staged: 2 }),
        };
        let at = 0xffff_ffff_8100_0100;
        let preemptions = vec![one(3, Does::Preempt, at + 0x84, 77), one(9, Does::Hold, at, 99)];
        let pins = vec![PinReport { end: PinEnd::Ordered, cpu: Some(0), instructions: Some(88) }];
        let at_lock = Place { function: "mutex_lock".into(), offset: 0, from: Some("ima_add".into()) };
        let holds = [Hold { line: 4, task: 1, at: at_lock, until: HeldUntil::Ends { task: 0, step: 2 } }];
        let program = program();
        let lines = |report: &Report| {
            Story { report, holds: &holds, program: &program, symbols: &symbols, lines: None }.lines()
        };
        let told = [
            "  point 3: CPU 1 is preempted at ima_queue_stage+0x84, holding ima_extend_list_mutex, after 77 instructions; \
             lists: 7 current, 2 staged",
            "  line 4: CPU 0 is held at mutex_lock from ima_add, task `b`, after 88 instructions",
            "  point 9: CPU 1 is held at ima_queue_stage, after 99 instructions",
        ];
        assert_eq!(lines(&report(preemptions, pins)), told);
        let many = report(vec![one(1, Does::Preempt, 0, 1); 25], Vec::new());
        assert_eq!(lines(&many).last().unwrap(), "  and 5 more: schedule.json of the bundle");
    }
}
