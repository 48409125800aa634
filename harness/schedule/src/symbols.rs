//! A kernel's symbols, as its build's `System.map` has them.

use crate::range::Range;

/// Symbols of code, by address, and where IMA's data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbols {
    /// Address and name, ascending, of all symbols of code.
    code: Vec<(u64, String)>,
    /// Of data whose name begins with `ima_`.
    data: Vec<(u64, String)>,
}

/// What is wrong with a `System.map`, or with a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SymbolsError {
    /// A line that is none.
    #[error("line {line} of System.map is no symbol: `{}`", text.escape_debug())]
    Line {
        /// Counted from 1.
        line: usize,
        /// What it says.
        text: String,
    },
    /// No code at all.
    #[error("System.map has no symbol of code")]
    Empty,
    /// A symbol that is not there.
    #[error("the kernel has no function `{0}`")]
    Unknown(String),
    /// Several functions of one name.
    #[error("the kernel has {count} functions `{name}`")]
    Several {
        /// Their name.
        name: String,
        /// How many.
        count: usize,
    },
    /// A place that is no longer in its function.
    #[error("`{name}` has {bytes} bytes, and so no place at +{offset:#x}")]
    Beyond {
        /// The function.
        name: String,
        /// Its size.
        bytes: u64,
        /// The place.
        offset: u64,
    },
}

impl Symbols {
    /// Reads a `System.map`: an address in hexadecimal digits, a letter for the kind (`nm`(1)), a name.
    ///
    /// # Errors
    /// [`SymbolsError`].
    pub fn parse(text: &str) -> Result<Symbols, SymbolsError> {
        let (mut code, mut data) = (Vec::new(), Vec::new());
        for (at, line) in text.lines().enumerate() {
            let bad = || SymbolsError::Line { line: at + 1, text: line.to_owned() };
            let mut words = line.split_whitespace();
            let (Some(address), Some(kind), Some(name), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(bad());
            };
            let address = u64::from_str_radix(address, 16).map_err(|_| bad())?;
            match kind {
                "T" | "t" | "W" | "w" => code.push((address, name.to_owned())),
                "B" | "b" | "D" | "d" if name.starts_with("ima_") => data.push((address, name.to_owned())),
                _ => {}
            }
        }
        if code.is_empty() {
            return Err(SymbolsError::Empty);
        }
        // Of several names of one address the first is told.
        code.sort_by_key(|symbol| symbol.0);
        Ok(Symbols { code, data })
    }

    /// Where data of IMA is.
    ///
    /// # Errors
    /// [`SymbolsError::Unknown`].
    pub fn data(&self, name: &str) -> Result<u64, SymbolsError> {
        let found = self.data.iter().find(|(_, known)| known == name);
        found.map(|(address, _)| *address).ok_or_else(|| SymbolsError::Unknown(name.to_owned()))
    }

    /// Where a function begins.
    ///
    /// # Errors
    /// [`SymbolsError::Unknown`].
    pub fn address(&self, name: &str) -> Result<u64, SymbolsError> {
        let found = self.code.iter().find(|(_, known)| known == name);
        found.map(|(address, _)| *address).ok_or_else(|| SymbolsError::Unknown(name.to_owned()))
    }

    /// A place in a function, so many bytes from its begin. The function's own name, or the compiler's for it (`.isra.0`), has to
    /// stand for one function.
    ///
    /// # Errors
    /// [`SymbolsError`].
    pub fn place(&self, name: &str, offset: u64) -> Result<u64, SymbolsError> {
        let all = |is: &dyn Fn(&str) -> bool| -> Vec<u64> {
            self.code.iter().filter(|(_, known)| is(known)).map(|(address, _)| *address).collect()
        };
        let mut found = all(&|known| known == name);
        if found.is_empty() {
            let own = |known: &str| known.split('.').next() == Some(name) && !known.ends_with(".cold");
            found = all(&own);
        }
        found.dedup();
        let begin = match found.as_slice() {
            [] => return Err(SymbolsError::Unknown(name.to_owned())),
            [one] => *one,
            several => return Err(SymbolsError::Several { name: name.to_owned(), count: several.len() }),
        };
        let next = self.code.iter().map(|symbol| symbol.0).find(|next| *next > begin);
        let bytes = next.map_or(u64::MAX, |next| next - begin);
        if offset >= bytes {
            return Err(SymbolsError::Beyond { name: name.to_owned(), bytes, offset });
        }
        Ok(begin + offset)
    }

    /// The first symbol of code that another build of the same kernel does not have at this address.
    #[must_use]
    pub fn first_moved(&self, other: &Symbols) -> Option<&str> {
        let own = self.code.iter().zip(other.code.iter().map(Some).chain(std::iter::repeat(None)));
        own.into_iter().find(|(own, others)| *others != Some(own)).map(|(own, _)| own.1.as_str())
    }

    /// The code of every function that `wanted` takes, up to the next symbol; neighbours are one range.
    ///
    /// The compiler's parts of a function (`.cold`, `.part.0`, `.isra.0`, `.constprop.0`) go by the function's name.
    pub fn ranges(&self, wanted: impl Fn(&str) -> bool) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::new();
        for (at, (begin, name)) in self.code.iter().enumerate() {
            let own = name.split('.').next().unwrap_or(name);
            if !wanted(own) {
                continue;
            }
            let Some(end) = self.code[at..].iter().map(|symbol| symbol.0).find(|next| next > begin) else {
                continue;
            };
            match ranges.last_mut() {
                Some(last) if last.end >= *begin => last.end = last.end.max(end),
                _ => ranges.push(Range { begin: *begin, end }),
            }
        }
        ranges
    }

    /// An address as `function+0x12`.
    #[must_use]
    pub fn name(&self, address: u64) -> String {
        let after = self.code.partition_point(|symbol| symbol.0 <= address);
        let Some(found) = after.checked_sub(1).map(|at| self.code[at].0) else {
            return format!("{address:#x}");
        };
        let first = self.code.partition_point(|symbol| symbol.0 < found);
        match address - found {
            0 => self.code[first].1.clone(),
            offset => format!("{}+{offset:#x}", self.code[first].1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
0000000000000000 D __per_cpu_start
ffffffff81000000 T _text
ffffffff81000010 t ima_add
ffffffff81000010 t ima_add_alias
ffffffff81000040 T ima_queue_stage
ffffffff81000080 t other
ffffffff81000090 t ima_trim.isra.0
ffffffff810000a0 t imagine
ffffffff81000100 T _etext
ffffffff82000000 d ima_data
";

    fn symbols() -> Symbols {
        Symbols::parse(MAP).unwrap()
    }

    #[test]
    fn functions_are_found_by_name_and_address() {
        let symbols = symbols();
        assert_eq!(symbols.address("ima_queue_stage"), Ok(0xffff_ffff_8100_0040));
        assert_eq!(symbols.address("ima_data"), Err(SymbolsError::Unknown("ima_data".into())));
        assert_eq!(symbols.name(0xffff_ffff_8100_0040), "ima_queue_stage");
        assert_eq!(symbols.name(0xffff_ffff_8100_0019), "ima_add+0x9");
        assert_eq!(symbols.name(0x1234), "0x1234");
    }

    #[test]
    fn neighbours_are_one_range() {
        let range = |begin: u64, end: u64| Range {
            begin: 0xffff_ffff_8100_0000 + begin,
            end: 0xffff_ffff_8100_0000 + end,
        };
        let ranges = symbols().ranges(|name| name.starts_with("ima_"));
        assert_eq!(ranges, [range(0x10, 0x80), range(0x90, 0xa0)]);
        assert_eq!(symbols().ranges(|name| name == "ima_trim"), [range(0x90, 0xa0)]);
        assert_eq!(symbols().ranges(|name| name == "nothing"), []);
        assert_eq!(symbols().ranges(|name| name == "_etext"), [], "nobody knows how long it is");
    }

    #[test]
    fn a_symbol_that_moved_is_found() {
        let moved = |text: &str| symbols().first_moved(&Symbols::parse(text).unwrap()).map(str::to_owned);
        assert_eq!(moved(MAP), None);
        assert_eq!(moved(&MAP.replace("81000080 t other", "81000081 t other")), Some("other".to_owned()));
        assert_eq!(
            moved(MAP.split_inclusive('\n').take(5).collect::<String>().as_str()),
            Some("other".to_owned())
        );
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let line = |text: &str| Symbols::parse(text).unwrap_err().to_string();
        assert_eq!(line("ffffffff81000000 T a\nx T b\n"), "line 2 of System.map is no symbol: `x T b`");
        assert_eq!(line("10 T\n"), "line 1 of System.map is no symbol: `10 T`");
        assert_eq!(line("10 D data\n"), "System.map has no symbol of code");
    }
}
