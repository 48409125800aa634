//! What a kernel does with its measurement lists, whatever a list is made of.
//!
//! Records are appended to the current list, moved to the staged one, removed from either, and carried to the next kernel: here
//! and nowhere else. What a list holds is for the caller to say: how many records ([`Length`]), which ones by their place in the
//! whole log ([`Ranges`]), or themselves (`Vec`). Everything that moves is told ([`Moved`]), and whoever follows where records
//! are (the reference model, the ledger, a record's history) follows that.

mod id;
mod length;
mod ranges;
mod request;
#[cfg(test)]
mod tests;

pub use id::{Kind, ListId, Namespace};
pub use length::Length;
pub use ranges::Ranges;
pub use request::{Mark, Request};

/// Records in the order of a list, as far as the caller knows them.
pub trait Records: Default {
    /// Takes the first `count` records off, or all when there are fewer.
    fn take_first(&mut self, count: u64) -> Self;

    /// Puts records at the end.
    fn append(&mut self, later: Self);
}

impl<T> Records for Vec<T> {
    fn take_first(&mut self, count: u64) -> Vec<T> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.len());
        let left = self.split_off(count);
        std::mem::replace(self, left)
    }

    fn append(&mut self, later: Vec<T>) {
        self.extend(later);
    }
}

/// How many of a list's records, from its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    All,
    /// The first so many, or all when there are fewer.
    First(u64),
}

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Out of the kernel.
    Out,
    /// To the end of a list.
    Behind(ListId),
    /// To the head of a list.
    Before(ListId),
}

/// One step of what an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Whose records.
    pub from: ListId,
    /// How many.
    pub part: Part,
    /// Where they go.
    pub to: To,
}

/// Records that moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved<R> {
    /// The list that they were in.
    pub from: ListId,
    /// Where they went.
    pub to: To,
    /// The records, in order.
    pub records: R,
}

/// What a kexec loses of the list that it carries: so many records behind so many that it keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Records that are carried before them.
    pub kept: u64,
    /// Records that are not carried.
    pub lost: u64,
}

/// The lists of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lists<R> {
    /// In the order of their ids: those of the first namespace, and of others those that ever held anything.
    lists: Vec<(ListId, R)>,
    none: R,
}

impl<R: Records> Default for Lists<R> {
    fn default() -> Lists<R> {
        let lists = [ListId::CURRENT, ListId::STAGED].map(|id| (id, R::default()));
        Lists { lists: lists.into(), none: R::default() }
    }
}

impl<R: Records> Lists<R> {
    /// All of them empty.
    pub fn new() -> Lists<R> {
        Lists::default()
    }

    /// What a list holds.
    pub fn get(&self, id: ListId) -> &R {
        match self.place(id) {
            Ok(at) => &self.lists[at].1,
            Err(_) => &self.none,
        }
    }

    fn place(&self, id: ListId) -> Result<usize, usize> {
        self.lists.binary_search_by_key(&id, |(id, _)| *id)
    }

    /// What a list holds, for its owner to add to it.
    pub fn get_mut(&mut self, id: ListId) -> &mut R {
        let at = self.place(id).unwrap_or_else(|at| {
            self.lists.insert(at, (id, R::default()));
            at
        });
        &mut self.lists[at].1
    }

    /// Puts records at the end of a list.
    pub fn append(&mut self, to: ListId, records: R) {
        self.get_mut(to).append(records);
    }

    /// Takes records off the head of a list.
    pub fn take(&mut self, from: ListId, part: Part) -> R {
        let list = self.get_mut(from);
        match part {
            Part::All => std::mem::take(list),
            Part::First(count) => list.take_first(count),
        }
    }

    /// Does what a request asks for in the lists of a namespace, and tells what moved.
    pub fn carry_out(&mut self, namespace: Namespace, request: Request) -> Vec<Moved<R>>
    where
        R: Clone,
    {
        request.moves(namespace).into_iter().map(|one| self.make(one)).collect()
    }

    /// Makes one move.
    pub fn make(&mut self, Move { from, part, to }: Move) -> Moved<R>
    where
        R: Clone,
    {
        let records = self.take(from, part);
        match to {
            To::Out => {}
            To::Behind(list) => self.append(list, records.clone()),
            To::Before(list) => {
                let behind = std::mem::replace(self.get_mut(list), records.clone());
                self.append(list, behind);
            }
        }
        Moved { from, to, records }
    }

    /// Another kernel takes over: its current list begins with what was staged and goes on with what was current
    /// (`ima_dump_measurement_list`, `security/integrity/ima/ima_kexec.c`), but for what is lost. The lists of other
    /// namespaces than the first end with their processes.
    pub fn kexec(&mut self, loss: Loss) -> Vec<Moved<R>>
    where
        R: Clone,
    {
        self.lists.retain(|(id, _)| id.namespace == Namespace::INIT);
        let carried = Move { from: ListId::STAGED, part: Part::All, to: To::Before(ListId::CURRENT) };
        let mut moved = vec![self.make(carried)];
        if loss.lost > 0 {
            let kept = self.take(ListId::CURRENT, Part::First(loss.kept));
            let lost = self.take(ListId::CURRENT, Part::First(loss.lost));
            let rest = std::mem::replace(self.get_mut(ListId::CURRENT), kept);
            self.append(ListId::CURRENT, rest);
            moved.push(Moved { from: ListId::CURRENT, to: To::Out, records: lost });
        }
        moved
    }
}
