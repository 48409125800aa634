//! A program as the text of a scenario.

use std::fmt::Write;

use crate::program::{Access, Actor, Answer, List, Name, Place, Program, Request, Step, TOO_MANY};

/// What a scenario says beside its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Lines of comment before everything else.
    pub comment: Vec<String>,
    /// What it does.
    pub summary: String,
    /// What it tests, with who promised it.
    pub promise: String,
}

impl Head {
    /// That of a program of which nothing is known yet.
    pub fn generated() -> Head {
        Head {
            comment: Vec::new(),
            summary: "A program that the explorer made.".to_owned(),
            promise: "IMA-export-delete.rst, all of it: whatever the order, no record is lost, doubled or reordered."
                .to_owned(),
        }
    }
}

/// A scenario's text, and which step of the program stands on which of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// By line, from 0; none where no step of the program is.
    lines: Vec<Option<Place>>,
}

impl Rendered {
    /// The step of a line, from 1.
    pub fn step(&self, line: u32) -> Option<Place> {
        let at = usize::try_from(line).ok()?.checked_sub(1)?;
        self.lines.get(at).copied().flatten()
    }
}

/// Bytes that are no request on any list: a verb that is none, two of them, none, no newline, no number, too large a one.
const WRONG: [&str; 9] = [
    "X\\n",
    "AA\\n",
    "\\n\\n",
    "A",
    "D",
    "-1\\n",
    "5 \\n",
    "18446744073709551616\\n",
    "123456789012345678901\\n",
];

/// Writes a program as a scenario.
pub fn render(program: &Program, head: &Head) -> Rendered {
    let mut out = Writer { text: String::new(), lines: Vec::new() };
    for line in &head.comment {
        out.line(None, format_args!("# {}", line.chars().map(printable).collect::<String>()));
    }
    out.line(None, format_args!("summary: {}", quoted(&head.summary)));
    out.line(None, format_args!("promise: {}", quoted(&head.promise)));
    out.line(None, format_args!("machine:"));
    out.line(None, format_args!("  cpus: {}", program.cpus));
    if program.flush {
        out.line(None, format_args!("  kernel-args: [ima_flush_htable]"));
    }
    if program.policy_records {
        out.line(None, format_args!("policy: |"));
        out.line(None, format_args!("  measure func=CRITICAL_DATA label=ima_policy"));
        out.line(None, format_args!("  measure func=FILE_CHECK mask=MAY_READ fsname=tmpfs"));
    }
    out.line(None, format_args!("steps:"));
    out.actor(program, 0, "  ");
    let others: Vec<usize> =
        (1..program.actors.len()).filter(|actor| program.first_phase(*actor).is_some()).collect();
    if !others.is_empty() {
        out.line(None, format_args!("tasks:"));
    }
    for actor in others {
        out.line(None, format_args!("  {}:", Name(actor)));
        out.actor(program, actor, "    ");
    }
    Rendered { text: out.text, lines: out.lines }
}

/// A text in double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Together they begin a parameter.
            '{' if out.ends_with('$') => out.push_str(" {"),
            c => out.push(printable(c)),
        }
    }
    out.push('"');
    out
}

/// What a kernel's console says may stand in a text, and YAML takes no control characters.
fn printable(c: char) -> char {
    if c.is_control() || ('\u{2028}'..='\u{2029}').contains(&c) || c == '\u{feff}' { ' ' } else { c }
}

struct Writer {
    text: String,
    lines: Vec<Option<Place>>,
}

impl Writer {
    fn line(&mut self, place: Option<Place>, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
        self.lines.push(place);
    }

    /// All that an actor does, with the ends of phases that it comes to.
    fn actor(&mut self, program: &Program, actor: usize, indent: &str) {
        let began = |other: usize, phase: usize| match program.actors.get(other) {
            Some(Actor::Process) => program.first_phase(other).is_some() || other == 0,
            _ => program.first_phase(other).is_some_and(|first| first <= phase),
        };
        let mut written = false;
        for (phase, acts) in program.phases.iter().enumerate() {
            if !began(actor, phase) {
                continue;
            }
            if actor == 0 {
                for other in 1..program.actors.len() {
                    if program.actors[other] == Actor::Thread && program.first_phase(other) == Some(phase) {
                        self.line(None, format_args!("{indent}- thread: {}", Name(other)));
                        written = true;
                    }
                }
            }
            for (step, one) in acts.of(actor).iter().enumerate() {
                let place = Place { phase, actor, step };
                self.line(Some(place), format_args!("{indent}- {}", step_text(one)));
                written = true;
            }
            let last = phase + 1 == program.phases.len();
            let company = (0..program.actors.len()).filter(|other| began(*other, phase)).count();
            if !last && company > 1 {
                self.line(None, format_args!("{indent}- barrier: phase-{phase}"));
                written = true;
            }
        }
        if !written {
            self.line(None, format_args!("{indent}- view: count"));
        }
    }
}

fn step_text(step: &Step) -> String {
    match *step {
        Step::Measure { files } => format!("measure: {files}"),
        Step::MeasureSame { name, files } => format!("measure: {{files: {files}, name: same-{name}}}"),
        Step::Violate { files, time_of_use } => {
            let kind = if time_of_use { "time-of-use" } else { "open-writers" };
            format!("violate: {{files: {files}, kind: {kind}}}")
        }
        Step::View { list } => format!("view: {{{}, expect: any}}", file(list)),
        Step::ViewCount { violations } => {
            format!("view: {}", if violations { "violations" } else { "count" })
        }
        Step::Open { slot, list, access } => {
            let flags = match access {
                Access::Read => "read",
                Access::ReadWrite => "read-write",
            };
            format!("open: {{as: fd{slot}, {}, flags: {flags}, expect: any}}", file(list))
        }
        Step::Read { slot, limit: None } => format!("read: {{from: fd{slot}, expect: any}}"),
        Step::Read { slot, limit: Some(bytes) } => {
            format!("read: {{from: fd{slot}, limit: {bytes}, expect: any}}")
        }
        Step::ReadAt { slot, at, bytes } => {
            format!("read: {{from: fd{slot}, at: {at}, bytes: {bytes}, expect: any}}")
        }
        Step::Rewind { slot } => format!("seek: {{of: fd{slot}, to: 0, expect: any}}"),
        Step::Close { slot } => format!("close: {{as: fd{slot}, expect: any}}"),
        Step::Ask { slot, request } => {
            format!("write: {{to: fd{slot}, text: \"{}\", expect: any}}", request_text(request))
        }
        Step::Attest { by_staging } => {
            format!("attest: {{how: {}, expect: any}}", if by_staging { "stage" } else { "trim" })
        }
        Step::LoadPolicy { rules } => {
            let rule =
                |n| format!("dont_measure func=BPRM_CHECK mask=MAY_EXEC fsname=tmpfs uid={}\\n", 12_345 + n);
            let rules: String = (0..u32::from(rules)).map(rule).collect();
            format!("load-policy: {{rules: \"{rules}\", expect: any}}")
        }
        Step::Fault { answer, skip, times } => {
            let answer = match answer {
                Answer::Retry => "retry",
                Answer::Failure => "failure",
            };
            format!("tpm-fault: {{answer: {answer}, skip: {skip}, times: {times}}}")
        }
    }
}

fn file(list: List) -> String {
    let bank = if list.sha256 { ", bank: sha256" } else { "" };
    format!("file: {}{bank}", list.file())
}

fn request_text(request: Request) -> String {
    match request {
        Request::Stage => "A\\n".to_owned(),
        Request::Delete => "D\\n".to_owned(),
        Request::Trim(records) => format!("{}\\n", records.min(TOO_MANY)),
        Request::Wrong(which) => WRONG[usize::from(which) % WRONG.len()].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use imalab_language::scenario;
    use proptest::prelude::*;

    use super::*;
    use crate::program::Phase;

    proptest! {
        /// Whatever a kernel said, its scenario can be read.
        #[test]
        fn any_words_may_stand_in_the_head(words: String) {
            let phases = vec![Phase { acts: vec![vec![Step::Measure { files: 1 }]] }];
            let actors = vec![Actor::Process];
            let program = Program { cpus: 1, flush: false, policy_records: false, actors, phases };
            let summary = format!("It says: {words}");
            let head = Head { comment: vec![words.clone()], summary, promise: format!("\"{words}\"") };
            let read = scenario::parse("it", "it.yaml", &render(&program, &head).text);
            prop_assert!(read.is_ok(), "{:?}", read.err());
        }
    }

    #[test]
    fn a_line_tells_its_step() {
        let phases = vec![
            Phase { acts: vec![vec![Step::Measure { files: 1 }]] },
            Phase { acts: vec![vec![], vec![Step::ViewCount { violations: false }]] },
        ];
        let actors = vec![Actor::Process, Actor::Process];
        let program = Program { cpus: 1, flush: false, policy_records: false, actors, phases };
        let rendered = render(&program, &Head::generated());
        let of = |what: &str| {
            let at = rendered.text.lines().position(|line| line.contains(what)).unwrap();
            rendered.step(at as u32 + 1)
        };
        assert_eq!(of("measure: 1"), Some(Place { phase: 0, actor: 0, step: 0 }));
        assert_eq!(of("view: count"), Some(Place { phase: 1, actor: 1, step: 0 }));
        assert_eq!((of("barrier"), rendered.step(0), rendered.step(999)), (None, None, None));
    }
}
