//! What was measured, as Markdown.

use std::collections::BTreeMap;

use super::{Compared, Kernel, Round, StepEnd};
use imalab_check::figures::{By, Held, Latency};

/// The changes that hold others up, with the request that makes them.
const CHANGES: [By; 4] = [By::Stage, By::Delete, By::Trim, By::Snapshot];

impl Compared {
    /// Tables, a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for section in [self.rounds(), self.held_up(), self.by_banks(), self.freed()] {
            if !section.is_empty() {
                lines.extend(section);
                lines.push(String::new());
            }
        }
        lines.extend(self.stories("Two agents", |kernel| &kernel.agents));
        lines.extend(self.stories("kexec", |kernel| &kernel.kexec));
        lines.pop();
        lines
    }

    fn rounds(&self) -> Vec<String> {
        let mut lines = vec![
            "| kernel | interface | round by | open | read | write | close | calls in all |".to_owned(),
            "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |".to_owned(),
        ];
        for kernel in &self.kernels {
            for round in &kernel.rounds {
                let count = |call: &str| round.calls.get(call).copied().unwrap_or_default();
                let each: Vec<String> =
                    ["open", "read", "write", "close"].iter().map(|call| count(call).to_string()).collect();
                lines.push(format!(
                    "| {} | {} | {} | {} | {} |",
                    kernel.name,
                    kernel.interface.name(),
                    way(round.by),
                    each.join(" | "),
                    round.calls.values().sum::<usize>()
                ));
            }
        }
        lines
    }

    fn held_up(&self) -> Vec<String> {
        let mut lines = vec![
            "| kernel | change | records | the request itself, us: median (longest) | an append meanwhile, us: median (longest), of | \
             an append with nothing going on, us: median |"
                .to_owned(),
            "| --- | --- | ---: | ---: | ---: | ---: |".to_owned(),
        ];
        for kernel in &self.kernels {
            for by in CHANGES {
                let of = |held, by| {
                    let grown =
                        kernel.held_up.times.iter().find(|grown| (grown.held, grown.by) == (held, by));
                    grown.map_or(BTreeMap::new(), |grown| grown.sizes.clone())
                };
                let (appends, idle) = (of(Held::Append, by), of(Held::Append, By::Nothing));
                for (records, writer) in of(Held::Writer, by) {
                    let append = |append: &Latency| format!("{}, {}", times(append), append.count);
                    lines.push(format!(
                        "| {} | {} | {records} | {} | {} | {} |",
                        kernel.name,
                        by.name(),
                        times(&writer),
                        appends.get(&records).map_or("none".to_owned(), append),
                        idle.get(&records).map_or("none".to_owned(), |idle| idle.median_us.to_string()),
                    ));
                }
            }
        }
        lines
    }

    /// How long all PCRs take to be recorded; no table where no kernel does that.
    fn by_banks(&self) -> Vec<String> {
        let mut lines = vec![
            "| kernel | banks | a snapshot, us: median (longest) | an append meanwhile, us: median (longest), of | \
             an append with nothing going on, us: median |"
                .to_owned(),
            "| --- | --- | ---: | ---: | ---: |".to_owned(),
        ];
        for kernel in &self.kernels {
            for (banks, times_of) in &kernel.by_banks {
                let of = |held, by| times_of.iter().find(|times| (times.held, times.by) == (held, by));
                let append = |append: &Latency| format!("{}, {}", times(append), append.count);
                lines.push(format!(
                    "| {} | {banks} | {} | {} | {} |",
                    kernel.name,
                    of(Held::Writer, By::Snapshot).map_or("none".to_owned(), times),
                    of(Held::Append, By::Snapshot).map_or("none".to_owned(), append),
                    of(Held::Append, By::Nothing)
                        .map_or("none".to_owned(), |idle| idle.median_us.to_string()),
                ));
            }
        }
        if lines.len() > 2 { lines } else { Vec::new() }
    }

    fn freed(&self) -> Vec<String> {
        let mut lines = vec![
            "| kernel | by | records | KiB freed, each round | bytes a record |".to_owned(),
            "| --- | --- | ---: | ---: | ---: |".to_owned(),
        ];
        let freeing = |kernel: &Kernel| {
            let rounds = kernel.rounds.iter().filter(|round| !round.freed.is_empty());
            rounds.map(|round| line(kernel, round)).collect::<Vec<_>>()
        };
        lines.extend(self.kernels.iter().flat_map(freeing));
        lines
    }

    fn stories(&self, title: &str, of: fn(&Kernel) -> &BTreeMap<String, Vec<StepEnd>>) -> Vec<String> {
        let mut lines = Vec::new();
        for kernel in &self.kernels {
            for (name, told) in of(kernel) {
                lines.push(format!("{title}, {name}, {} ({}):", kernel.name, kernel.interface.name()));
                lines.push(String::new());
                let each = |told: &StepEnd| format!("- {}: {}: {}", told.task, code(&told.step), told.end);
                lines.extend(told.iter().map(each));
                lines.push(String::new());
            }
        }
        lines
    }
}

fn line(kernel: &Kernel, round: &Round) -> String {
    let each: Vec<String> = round.freed.iter().map(|freed| freed.kib.to_string()).collect();
    let records: u64 = round.freed.iter().map(|freed| freed.records).sum();
    let kib: i64 = round.freed.iter().map(|freed| freed.kib).sum();
    let first = round.freed.first().map_or(0, |freed| freed.records);
    let bytes = kib as f64 * 1024.0 / records.max(1) as f64;
    format!("| {} | {} | {first} | {} | {bytes:.0} |", kernel.name, way(round.by), each.join(", "))
}

fn way(by: By) -> &'static str {
    match by {
        By::Trim => "trimming",
        By::Snapshot => "snapshot",
        By::Stage | By::Delete | By::Nothing => "staging",
    }
}

fn times(latency: &Latency) -> String {
    format!("{} ({})", latency.median_us, latency.max_us)
}

fn code(text: &str) -> String {
    format!("`{text}`")
}
