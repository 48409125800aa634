//! What a kernel did otherwise than its dialect promises when it was asked to remove records.

use super::answers::{counted, grown};
use super::requests::{TOO_MANY, Taken, Verb};
use crate::capabilities::{FindingCode, ProbeFinding, promise};
use imalab_formats::Interface;
use imalab_formats::ima::dialect::Dialect;
use imalab_formats::ima::model::Rule;

/// All of it. Without a policy that measures, the list holds what the boot recorded, and that may be too little to trim.
pub(super) fn findings(interface: Interface, taken: &Taken<'_>, measures: bool) -> Vec<ProbeFinding> {
    let dialect = interface.dialect();
    let asked = Asked { interface, dialect, taken };
    let mut findings = Vec::new();
    if dialect.verbs.stage.is_some() {
        findings.extend(asked.staging());
    }
    if dialect.verbs.trim.is_some() && measures {
        findings.extend(asked.trimming());
        if dialect.verbs.stage.is_some() {
            findings.extend(asked.both());
        }
    }
    findings
}

struct Asked<'a> {
    interface: Interface,
    dialect: &'a Dialect,
    taken: &'a Taken<'a>,
}

impl Asked<'_> {
    fn ok(&self, verb: Verb) -> bool {
        self.taken.ok(self.interface, verb)
    }

    fn count(&self, verb: Verb) -> Option<u64> {
        self.taken.count(self.interface, verb)
    }

    fn bytes(&self, verb: Verb) -> &[u8] {
        self.taken.bytes(self.interface, verb)
    }

    fn refused(&self, code: FindingCode, what: &str, verb: Verb, rule: Rule) -> ProbeFinding {
        let found = self.taken.told(self.interface, verb);
        ProbeFinding::new(code, what, "success", found, promise(rule))
    }

    fn miscounted(
        &self,
        code: FindingCode,
        what: &str,
        expected: Option<u64>,
        found: Option<u64>,
        rule: Rule,
    ) -> Option<ProbeFinding> {
        let wrong = || ProbeFinding::new(code, what, counted(expected), counted(found), promise(rule));
        (expected.is_none() || expected != found).then(wrong)
    }

    /// The first thing that is wrong with staging, saving or deleting.
    fn staging(&self) -> Option<ProbeFinding> {
        if !self.ok(Verb::Stage) {
            let rule = Rule::StageMovesWholeList;
            return Some(self.refused(FindingCode::StageRefused, "stage all records", Verb::Stage, rule));
        }
        let (code, rule) = (FindingCode::StageCount, Rule::StageMovesWholeList);
        let staged = self.count(Verb::CountStaged);
        if let Some(finding) = self.miscounted(code, "stage all records", Some(0), staged, rule) {
            return Some(finding);
        }
        if !self.ok(Verb::Save) {
            let (what, rule) = ("read the staged list", Rule::StagedShowsStaged);
            return Some(self.refused(FindingCode::SaveRefused, what, Verb::Save, rule));
        }
        let (was, is) = (self.bytes(Verb::List), self.bytes(Verb::Save));
        if self.ok(Verb::List) && was != is {
            let other = if was.len() == is.len() { "but others" } else { "of so many" };
            return Some(ProbeFinding::new(
                FindingCode::SaveDiffers,
                "read the staged list",
                format!("the {} bytes that the current list was", was.len()),
                format!("{} bytes, {other}", is.len()),
                promise(Rule::StagedShowsStaged),
            ));
        }
        if !self.ok(Verb::Delete) {
            let (what, rule) = ("delete the staged list", Rule::DeleteRemovesStaged);
            return Some(self.refused(FindingCode::DeleteRefused, what, Verb::Delete, rule));
        }
        let what = "delete the staged list, when all records were staged";
        let deleted = self.count(Verb::CountDeleted);
        self.miscounted(FindingCode::DeleteCount, what, Some(0), deleted, Rule::CountIsCurrent)
    }

    /// What is wrong with trimming while nothing is staged.
    fn trimming(&self) -> Vec<ProbeFinding> {
        let mut findings = Vec::new();
        let rule = Rule::TrimRemovesFirst;
        if self.ok(Verb::Trim) {
            let before = self.count(Verb::CountMore).and_then(|before| before.checked_sub(1));
            let after = self.count(Verb::CountTrimmed);
            findings.extend(self.miscounted(FindingCode::TrimCount, "trim 1", before, after, rule));
        } else {
            findings.push(self.refused(FindingCode::TrimRefused, "trim 1", Verb::Trim, rule));
        }
        if self.dialect.exact_trim && self.ok(Verb::TrimTooMany) {
            findings.push(ProbeFinding::new(
                FindingCode::TrimTooManyTaken,
                format!("trim {TOO_MANY}, more records than there are"),
                "ENOENT",
                "success",
                promise(Rule::TrimTooMany),
            ));
        }
        findings
    }

    /// What is wrong with trimming while records are staged.
    fn both(&self) -> Option<ProbeFinding> {
        if !self.ok(Verb::StageMore) {
            let (what, rule) = ("stage records that came after a delete", Rule::StageMovesWholeList);
            return Some(self.refused(FindingCode::StageRefused, what, Verb::StageMore, rule));
        }
        let what = "trim 1 while records are staged";
        match (self.dialect.trims_while_staged, self.ok(Verb::TrimWhileStaged)) {
            (Some(true), false) => {
                let (code, rule) = (FindingCode::TrimWhileStagedRefused, Rule::TrimLeavesStaged);
                Some(self.refused(code, what, Verb::TrimWhileStaged, rule))
            }
            (Some(true) | None, true) => {
                let (before, after) = (self.count(Verb::CountYet), self.count(Verb::CountWhileStaged));
                let wrong = grown(after, before) != Some(1);
                let expected = before.and_then(|before| before.checked_sub(1));
                let rule = Rule::TrimLeavesStaged;
                wrong.then(|| self.miscounted(FindingCode::TrimCount, what, expected, after, rule)).flatten()
            }
            (Some(false), true) => Some(ProbeFinding::new(
                FindingCode::TrimWhileStagedTaken,
                what,
                "EEXIST",
                "success",
                promise(Rule::TrimNotWhileStaged),
            )),
            (Some(false) | None, false) => None,
        }
    }
}
