//! What a check says of a pass, in words.

use super::parts::count;
use imalab_language::finding::{CounterAtKexec, Fact};

pub(super) fn words(fact: &Fact) -> String {
    match fact {
        Fact::Banks { banks } => format!("banks {}", banks.join(" ")),
        Fact::Refused { steps } => format!("{} refused as expected", count(*steps, "step")),
        Fact::Explained { tasks, orders } => {
            format!("{} explained, {} tried", count(*tasks, "task"), count(*orders, "order"))
        }
        Fact::SavedAgain { records } => {
            format!("{} saved before a kexec came again and count once", count(*records, "record"))
        }
        Fact::LostAsKnown { records, kexec } => {
            format!("{} lost at kexec {kexec}, as known", count(*records, "record"))
        }
        Fact::ViolationsAtKexec { counter } => match counter {
            CounterAtKexec::BeginsAfresh => "the counter of violations begins afresh at a kexec",
            CounterAtKexec::CountsCarried => "the counter of violations takes in what a kexec carries",
            CounterAtKexec::GoesOn => "the counter of violations goes on over a kexec",
            CounterAtKexec::Differs => {
                "the counter of violations differs by kernel in what it takes over a kexec"
            }
        }
        .to_owned(),
        Fact::Said { line_number, words } => format!("console line {line_number} says `{words}`"),
        Fact::PoweredOff {} => "powered off".to_owned(),
        Fact::KexecTimes { ms } => {
            let each: Vec<String> =
                ms.iter().map(|ms| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)).collect();
            format!("kexec in {}", each.join(", "))
        }
        Fact::Carried { records } => {
            let each: Vec<String> = records.iter().map(u64::to_string).collect();
            format!("carried {} records", each.join(", "))
        }
        Fact::TrueRecords { records } => {
            format!("all numbers of {} true", count(*records, "record of kexec"))
        }
        Fact::Spare { kib } => format!("segments with {kib} KiB to spare"),
        Fact::RefusedWhileSuspended { requests } => {
            format!("{} refused while suspended", count(*requests, "request"))
        }
    }
}
