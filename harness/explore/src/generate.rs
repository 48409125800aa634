//! Programs by chance, with what races frequent.

mod roles;

use imalab_language::capabilities::Capabilities;
use imalab_language::capability::Capability;

use crate::program::{Access, Actor, Answer, List, Phase, Program, Request, Slot, Step, TOO_MANY};
use crate::rng::Rng;
use crate::sound::sound;
use roles::{Role, act};

/// What the kernel has that programs can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// A staged list, asked for in mainline's words.
    pub staging: bool,
    /// Requests with a number, in mainline's words.
    pub trim: bool,
    /// A file for each bank.
    pub bank_files: bool,
    /// `ima_flush_htable`.
    pub flush: bool,
    /// Records of changes of the policy.
    pub policy_records: bool,
}

impl Offers {
    /// What a kernel was seen to have.
    pub fn of(capabilities: &Capabilities) -> Offers {
        let words = Capability::MAINLINE.is_some_and(|words| capabilities.has(words));
        Offers {
            staging: words && capabilities.has(Capability::Staging),
            trim: words && capabilities.has(Capability::Trim),
            bank_files: capabilities.has(Capability::BankFiles),
            flush: capabilities.has(Capability::FlushHtable),
            policy_records: capabilities.has(Capability::PolicyRecords),
        }
    }
}

/// A program that this seed decides. Nothing else does: the same seed and offers are the same program for ever.
pub fn generate(seed: u64, offers: Offers) -> Program {
    let mut rng = Rng::new(seed);
    // What is left out of one may leave nothing of it; the next draws make another.
    (0..)
        .find_map(|_| sound(&draft(&mut rng, offers)).filter(Program::is_worthwhile))
        .unwrap_or_else(smallest)
}

/// A program of which nothing was left out.
fn smallest() -> Program {
    let phases = vec![Phase { acts: vec![vec![Step::Measure { files: 1 }]] }];
    Program { cpus: 1, flush: false, policy_records: false, actors: vec![Actor::Process], phases }
}

impl Program {
    /// Whether something is done side by side, or something is asked of the kernel.
    pub(crate) fn is_worthwhile(&self) -> bool {
        let side_by_side = |phase: &Phase| phase.acts.iter().filter(|steps| !steps.is_empty()).count() > 1;
        self.phases.iter().any(side_by_side)
            || self.steps().any(|(_, step)| matches!(step, Step::Ask { .. } | Step::Attest { .. }))
    }
}

/// The descriptors that `main`'s process has open, by what they can do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Open {
    pub(crate) staged: Vec<Slot>,
    pub(crate) current: Vec<Slot>,
}

pub(crate) struct Maker<'r> {
    pub(crate) rng: &'r mut Rng,
    pub(crate) offers: Offers,
    next: Slot,
}

impl Maker<'_> {
    pub(crate) fn slot(&mut self) -> Slot {
        self.next = self.next.saturating_add(1);
        self.next - 1
    }

    pub(crate) fn list(&mut self, staged: bool) -> List {
        let ascii = self.rng.one_in(2);
        let sha256 = self.offers.bank_files && self.rng.one_in(3);
        List { staged: staged && self.offers.staging, ascii, sha256 }
    }

    pub(crate) fn wrong(&mut self) -> Request {
        match self.rng.below(4) {
            0 => Request::Trim(TOO_MANY),
            1 => Request::Trim(0),
            _ => Request::Wrong(self.rng.below(9) as u8),
        }
    }
}

fn draft(rng: &mut Rng, offers: Offers) -> Program {
    let cpus = if rng.one_in(6) { 3 } else { 2 };
    let flush = offers.flush && rng.one_in(6);
    let policy_records = offers.policy_records && rng.one_in(6);
    let mut maker = Maker { rng, offers, next: 0 };
    let program = if maker.offers.staging && !maker.rng.one_in(3) {
        one_writer(&mut maker)
    } else {
        many_processes(&mut maker)
    };
    Program { cpus, flush, policy_records, ..program }
}

/// A process that has lists open for writing, with threads that race for them, and others that are kept out.
fn one_writer(maker: &mut Maker<'_>) -> Program {
    let mut actors = vec![Actor::Process, Actor::Thread];
    if maker.rng.one_in(3) {
        actors.push(Actor::Thread);
    }
    if maker.rng.one_in(2) {
        actors.push(Actor::Process);
    }
    let (mut phases, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..1 + maker.rng.below(3) {
        let roles = roles::racing(maker, &actors);
        let open = opening(maker, &roles, &mut alone);
        preparation(maker, &open, &roles, &mut alone);
        phases.push(Phase { acts: vec![std::mem::take(&mut alone)] });
        let acts = roles.iter().map(|role| act(maker, *role, &open)).collect();
        phases.push(Phase { acts });
        alone = settling(maker, &open);
    }
    phases.push(Phase { acts: vec![alone] });
    Program { cpus: 2, flush: false, policy_records: false, actors, phases }
}

/// Opens lists for writing: as many as those who race need to have one each, and sometimes more.
fn opening(maker: &mut Maker<'_>, roles: &[Role], steps: &mut Vec<Step>) -> Open {
    let mut open = Open::default();
    if maker.rng.one_in(2) {
        steps.push(Step::Measure { files: maker.rng.within(1, 20) as u16 });
    }
    let count = |wanted: &[Role]| roles.iter().filter(|role| wanted.contains(role)).count();
    let walks = count(&[Role::Walker]).min(1);
    let (staged, current) = (count(&[Role::Stager, Role::Deleter]), count(&[Role::Trimmer]));
    let more = |maker: &mut Maker<'_>, needed: usize| match needed {
        0 => usize::from(maker.rng.one_in(3)),
        needed => needed + walks + usize::from(maker.rng.one_in(4)),
    };
    let staged = more(maker, staged);
    let current = more(maker, current).max(usize::from(staged == 0));
    for at in 0..staged + current {
        let (slot, list) = (maker.slot(), maker.list(at < staged));
        steps.push(Step::Open { slot, list, access: Access::ReadWrite });
        if list.staged { open.staged.push(slot) } else { open.current.push(slot) }
    }
    open
}

/// What has to be there and to be read before it is removed.
fn preparation(maker: &mut Maker<'_>, open: &Open, roles: &[Role], steps: &mut Vec<Step>) {
    let files = maker.rng.weighted(&[(4, 8), (3, 20), (2, 40), (1, 90)]).unwrap_or(8);
    steps.push(Step::Measure { files });
    if roles.contains(&Role::Deleter) || maker.rng.one_in(4) {
        if let Some(slot) = open.staged.first() {
            steps.push(Step::Ask { slot: *slot, request: Request::Stage });
        }
        steps.extend(open.staged.iter().map(|slot| Step::Read { slot: *slot, limit: None }));
        if maker.rng.one_in(2) {
            steps.push(Step::Measure { files: maker.rng.within(5, 30) as u16 });
        }
    }
    if roles.contains(&Role::Trimmer) || maker.rng.one_in(4) {
        steps.extend(open.current.iter().map(|slot| Step::Read { slot: *slot, limit: None }));
    }
}

/// What is done after a race, by one task: everything is closed, and mostly what is staged is saved and removed.
fn settling(maker: &mut Maker<'_>, open: &Open) -> Vec<Step> {
    let all = open.staged.iter().chain(&open.current);
    let mut steps: Vec<Step> = all.map(|slot| Step::Close { slot: *slot }).collect();
    if !maker.rng.one_in(3) {
        let (slot, list) = (maker.slot(), maker.list(true));
        steps.push(Step::Open { slot, list, access: Access::ReadWrite });
        steps.push(Step::Read { slot, limit: None });
        steps.push(Step::Ask { slot, request: Request::Delete });
        steps.push(Step::Close { slot });
    }
    steps
}

/// Processes that each open what they need: they exclude each other, or take turns.
fn many_processes(maker: &mut Maker<'_>) -> Program {
    let count = 2 + maker.rng.below(3);
    let actors = vec![Actor::Process; count];
    let mut phases = Vec::new();
    if maker.rng.one_in(2) {
        phases.push(Phase { acts: vec![vec![Step::Measure { files: maker.rng.within(1, 60) as u16 }]] });
    }
    for _ in 0..1 + maker.rng.below(2) {
        let acts = (0..count).map(|_| roles::session(maker)).collect();
        phases.push(Phase { acts });
    }
    if maker.rng.one_in(4) {
        let answer = if maker.rng.one_in(3) { Answer::Failure } else { Answer::Retry };
        let fault =
            Step::Fault { answer, skip: maker.rng.below(10) as u8, times: 1 + maker.rng.below(3) as u8 };
        phases[0].of_mut(0).insert(0, fault);
    }
    Program { cpus: 2, flush: false, policy_records: false, actors, phases }
}

#[cfg(test)]
pub(crate) mod tests;
