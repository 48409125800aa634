//! The list of complaints that may be passed over.

use chrono::NaiveDate;
use serde::Deserialize;

use imalab_formats::splat::{Kind, Splat};

/// One kind of complaint that may be passed over until some day.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    kind: Kind,
    title: String,
    reason: String,
    link: String,
    expires: String,
}

/// The list.
#[derive(Clone, Debug)]
pub(super) struct List {
    entries: Vec<(Entry, NaiveDate)>,
}

/// Whether a complaint may be passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Yes,
    No,
    /// It might have been until this day.
    NoLonger(NaiveDate),
}

impl List {
    /// # Errors
    ///
    /// What is wrong, in words: an entry has to say what it allows, why, where that can be read, and until when.
    pub(super) fn parse(yaml: &str) -> Result<List, String> {
        let entries: Vec<Entry> = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        let checked = entries.into_iter().enumerate().map(|(number, entry)| {
            let number = number + 1;
            for (name, text) in [("title", &entry.title), ("reason", &entry.reason)] {
                if text.trim().is_empty() {
                    return Err(format!("entry {number}: expected a {name}, found nothing"));
                }
            }
            if !entry.link.starts_with("https://") {
                return Err(format!("entry {number}: expected a link (https://...), found `{}`", entry.link));
            }
            let expires = NaiveDate::parse_from_str(&entry.expires, "%Y-%m-%d").map_err(|_| {
                format!("entry {number}: expected a day (YYYY-MM-DD) in expires, found `{}`", entry.expires)
            })?;
            Ok((entry, expires))
        });
        Ok(List { entries: checked.collect::<Result<_, String>>()? })
    }

    pub(super) fn allows(&self, splat: &Splat, today: NaiveDate) -> Allowed {
        let mut allowed = Allowed::No;
        for (entry, expires) in &self.entries {
            if entry.kind == splat.kind && splat.title.contains(&entry.title) {
                if today < *expires {
                    return Allowed::Yes;
                }
                allowed = Allowed::NoLonger(*expires);
            }
        }
        allowed
    }
}
