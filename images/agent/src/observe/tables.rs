//! Tables of descriptors, as far as they are of observed files.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// An observed file that is open; descriptors of it share its offset.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: Arc<str>,
    /// Where the next read begins, if that is known.
    pub(super) offset: Cell<Option<u64>>,
}

/// Number of a table.
pub(super) type Table = u32;

/// All tables of a program.
#[derive(Debug, Default)]
pub(super) struct Tables {
    next: Table,
    open: BTreeMap<(Table, i32), Rc<Opened>>,
}

impl Tables {
    /// An empty one.
    pub(super) fn make(&mut self) -> Table {
        self.next += 1;
        self.next
    }

    /// One with the same descriptors.
    pub(super) fn copy(&mut self, of: Table) -> Table {
        let copy = self.make();
        let all = self.all(of);
        self.open.extend(all.into_iter().map(|(descriptor, file)| ((copy, descriptor), file)));
        copy
    }

    pub(super) fn get(&self, table: Table, descriptor: i32) -> Option<Rc<Opened>> {
        self.open.get(&(table, descriptor)).cloned()
    }

    pub(super) fn open(&mut self, table: Table, descriptor: i32, file: Rc<Opened>) {
        self.open.insert((table, descriptor), file);
    }

    pub(super) fn close(&mut self, table: Table, descriptor: i32) -> Option<Rc<Opened>> {
        self.open.remove(&(table, descriptor))
    }

    /// All of a table.
    pub(super) fn all(&self, table: Table) -> Vec<(i32, Rc<Opened>)> {
        let all = self.open.range((table, i32::MIN)..=(table, i32::MAX));
        all.map(|((_, descriptor), file)| (*descriptor, Rc::clone(file))).collect()
    }

    pub(super) fn is_empty(&self, table: Table) -> bool {
        self.open.range((table, i32::MIN)..=(table, i32::MAX)).next().is_none()
    }

    /// A table is no more: what was open by it.
    pub(super) fn remove(&mut self, table: Table) -> Vec<(i32, Rc<Opened>)> {
        let all = self.all(table);
        self.open.retain(|(of, _), _| *of != table);
        all
    }
}
