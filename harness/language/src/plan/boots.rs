//! How often a plan's guest boots, which kernels it goes on in, and which PCRs its policies name.

use std::collections::BTreeSet;

use imalab_wire::{Op, Step};

use super::Plan;

impl Plan {
    /// Boots that the program has: one more than it has kexecs that must succeed.
    pub fn boots(&self) -> u16 {
        let last = self.program.tasks.iter().map(|task| task.boot).max().unwrap_or(0);
        last.saturating_add(1)
    }

    /// Whether the guest attempts to go on in another kernel, be it in vain.
    pub fn kexecs(&self) -> bool {
        self.ops().any(Op::leaves)
    }

    /// How many panics the guest is asked for.
    pub fn panics(&self) -> usize {
        self.ops().filter(|op| matches!(op, Op::Panic)).count()
    }

    /// Names of the kernels that the guest loads.
    pub fn kernels(&self) -> BTreeSet<&str> {
        self.ops()
            .filter_map(|op| match op {
                Op::KexecLoad { kernel, .. } | Op::KexecLoadSegments { kernel, .. } => Some(kernel.as_str()),
                _ => None,
            })
            .collect()
    }

    /// PCRs that rules of its policies name, be they loaded at the start or later.
    pub fn named_pcrs(&self) -> BTreeSet<u32> {
        let written = self.ops().filter_map(|op| match op {
            Op::Write { bytes, .. } | Op::WriteAt { bytes, .. } | Op::Create { bytes, .. } => Some(bytes),
            _ => None,
        });
        let texts = written.chain([&self.program.setup.policy]).map(|bytes| String::from_utf8_lossy(bytes));
        let named = |text: std::borrow::Cow<'_, str>| {
            let words = text.split_ascii_whitespace().filter_map(|word| word.strip_prefix("pcr="));
            words.filter_map(|number| number.parse().ok()).collect::<Vec<u32>>()
        };
        texts.flat_map(named).collect()
    }

    fn ops(&self) -> impl Iterator<Item = &Op> {
        let steps = self.program.tasks.iter().flat_map(|task| &task.steps);
        steps.chain(&self.program.finally).flat_map(|step: &Step| &step.ops)
    }
}
