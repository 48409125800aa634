//! The parts of findings in words: with these the sentences are made that stand beside the codes.

use imalab_language::finding::{
    Extend, List, Operation, Phrasing, Place, Promise, Record, Step, Totals, Value, Waiter,
};

/// Hexadecimal digits of a record's digest that a sentence has; the results have all of them.
const DIGITS: usize = 12;

/// An operation without its place in a step.
pub(super) fn call(operation: &Operation) -> String {
    let Operation { number: _, call, path, slot, bytes, count } = operation;
    let mut text = call.clone();
    if let Some(bytes) = bytes {
        text += &format!(" \"{bytes}\"");
    }
    if let Some(count) = count {
        text += &format!(" {count}");
    }
    if let Some(path) = path {
        text += &format!(" {path}");
    }
    if let Some(slot) = slot {
        text += &format!(" slot {slot}");
    }
    text
}

/// The words of reports.
pub(super) struct Parts;

impl Phrasing for Parts {
    fn count(&self, number: u64, what: &str) -> String {
        format!("{number} {what}{}", if number == 1 { "" } else { "s" })
    }

    fn be(&self, number: u64) -> &'static str {
        if number == 1 { "is" } else { "are" }
    }

    fn step(&self, step: &Step) -> String {
        match step.line {
            0 => format!("step {} `{}` (added)", step.id, step.text),
            line => format!("step {} `{}` (line {line})", step.id, step.text),
        }
    }

    fn at(&self, step: Option<&Step>, operation: Option<&Operation>) -> String {
        match (step, operation) {
            (Some(step), Some(operation)) => format!("{}, {}", self.step(step), self.operation(operation)),
            (Some(step), None) => self.step(step),
            (None, _) => "at the end".to_owned(),
        }
    }

    fn operation(&self, operation: &Operation) -> String {
        format!("operation {}, {}", operation.number, call(operation))
    }

    fn list(&self, list: &List) -> String {
        format!("{} {} {}list", list.form, list.bank, if list.staged { "staged " } else { "" })
    }

    fn record(&self, record: &Record) -> String {
        let number = record.number.map_or_else(|| "record".to_owned(), |number| format!("record {number}"));
        let place = record.place.as_ref().map_or_else(String::new, |at| format!(", {}", place(at)));
        format!("{number} {}{place}", self.described(record))
    }

    fn described(&self, record: &Record) -> String {
        let digest = record.digest.as_deref().map(short);
        let violation = record.violation.then(|| "violation".to_owned());
        let details: Vec<String> =
            record.template.clone().into_iter().chain(digest).chain(violation).collect();
        let name = record.name.as_deref().unwrap_or("that no list ever showed");
        if details.is_empty() { name.to_owned() } else { format!("{name} ({})", details.join(", ")) }
    }

    fn extend(&self, extend: &Extend) -> String {
        let digest = extend.digest.as_deref().map_or_else(|| "no digest".to_owned(), short);
        let known = match (&extend.record, extend.violation) {
            (_, true) => ", a violation".to_owned(),
            (Some(name), false) => format!(", {name}"),
            (None, false) => ", in no list that was ever read".to_owned(),
        };
        format!("extend {} (event {}, PCR {}, {digest}{known})", extend.number, extend.event, extend.pcr)
    }

    fn totals(&self, totals: Option<&Totals>) -> String {
        let Some(Totals { extends, records, lost, doubled, never_extended }) = totals else {
            return String::new();
        };
        format!(
            "; in all {}, {}: {lost} extended and not recorded, {doubled} doubled, {never_extended} never extended",
            self.count(*extends, "extend"),
            self.count(*records, "record")
        )
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::Number(number) => number.to_string(),
            Value::Word(word) => self::word(word).to_owned(),
            Value::OneOf(words) => words.iter().map(|one| word(one)).collect::<Vec<_>>().join(" or "),
            Value::Range { least, most } => format!("{least} to {most}"),
        }
    }

    fn promise(&self, promise: &Promise) -> String {
        let Promise { says, quoted, source, .. } = promise;
        match quoted {
            Some(words) => format!("; the promise: {says} (\"{words}\", {source})"),
            None => format!("; the promise, in our words: {says} ({source})"),
        }
    }

    fn undecided(&self, undecided: bool) -> &'static str {
        if undecided {
            " (not decided: too many orders of concurrent operations are possible, and this is as far as one came)"
        } else {
            ""
        }
    }

    fn prefix(&self, prefix: Option<u64>) -> String {
        match prefix {
            Some(prefix) => format!("its first {} do give that", self.count(prefix, "record")),
            None => "no prefix of it gives that".to_owned(),
        }
    }

    fn waiters(&self, waiters: &[Waiter]) -> String {
        let one = |waiter: &Waiter| {
            let task = self.both_names(&waiter.task, waiter.scenario_task.as_deref());
            match &waiter.function {
                Some(function) => format!("; {task} waits in {function}"),
                None => format!("; {task} waits"),
            }
        };
        waiters.iter().map(one).collect()
    }

    fn both_names(&self, task: &str, scenario: Option<&str>) -> String {
        scenario.map_or_else(|| task.to_owned(), |name| format!("{task} (task {name})"))
    }
}

fn place(place: &Place) -> String {
    let step = Parts.step(&place.step);
    let number = place.number;
    match place.list.as_str() {
        "saved" => format!("number {number} of the staged list that {step} saved"),
        "staged" => format!("number {number} of the staged list that {step} read"),
        "trimmed" => format!("number {number} of those that {step} trimmed"),
        "current" => format!("number {number} of the current list that {step} read"),
        "lost" => format!("number {number} of those lost at {step}"),
        _ => format!("number {number} of those that {step} removed unread"),
    }
}

fn word(word: &str) -> &str {
    match word {
        Value::ERROR => "an error",
        Value::NO_RECORD => "no record",
        Value::NO_END => "no end",
        other => other,
    }
}

/// `BANK:HEX` with the first digits alone.
fn short(digest: &str) -> String {
    let Some((bank, hex)) = digest.split_once(':') else { return digest.to_owned() };
    match hex.char_indices().nth(DIGITS) {
        Some((at, _)) => format!("{bank}:{}…", &hex[..at]),
        None => digest.to_owned(),
    }
}
