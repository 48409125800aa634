//! What a file defines, what it takes from others under which name, and which paths it uses.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemMod, Macro, Meta, UseTree};

/// A file, as far as its names go.
#[derive(Default)]
pub(crate) struct Module {
    /// By `use`: a name, and the path that it stands for.
    pub(crate) taken: BTreeMap<String, Vec<String>>,
    /// Paths whose names are all taken: `use super::*`.
    pub(crate) all_of: BTreeSet<Vec<String>>,
    /// What it defines itself.
    pub(crate) defines: BTreeSet<String>,
    /// Paths in its code, those of `use` apart.
    pub(crate) used: BTreeSet<Vec<String>>,
    /// Modules in files of their own that are there for tests alone.
    pub(crate) tests: BTreeSet<String>,
}

/// Reads a file.
pub(crate) fn read(file: &File) -> Module {
    let mut module = Module::default();
    module.visit_file(file);
    module
}

fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}

impl Module {
    fn take(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.take(&with(&path.ident), &path.tree),
            UseTree::Name(name) if name.ident == "self" => {
                self.taken.insert(before.last().cloned().unwrap_or_default(), before.to_vec());
            }
            UseTree::Name(name) => {
                self.taken.insert(name.ident.to_string(), with(&name.ident));
            }
            UseTree::Rename(rename) => {
                self.taken.insert(rename.rename.to_string(), with(&rename.ident));
            }
            UseTree::Glob(_) => {
                self.all_of.insert(before.to_vec());
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.take(before, tree)),
        }
    }

    /// Paths in a macro's arguments, which are not parsed: `a::b`.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.used.insert(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.tokens(group.stream());
                    colons = 0;
                }
                _ => colons = 0,
            }
        }
        self.used.insert(path);
    }
}

fn made(tokens: TokenStream, names: &mut BTreeSet<String>) {
    let mut last = String::new();
    for token in tokens {
        let now = match token {
            TokenTree::Ident(name) => name.to_string(),
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Brace && last.starts_with(char::is_uppercase) {
                    names.insert(last.clone());
                }
                made(group.stream(), names);
                String::new()
            }
            _ => String::new(),
        };
        if ["enum", "struct", "fn", "const"].contains(&last.as_str()) && !now.is_empty() {
            names.insert(now.clone());
        }
        last = now;
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if for_tests(attributes) {
            if let Item::Mod(ItemMod { ident, content: None, .. }) = item {
                self.tests.insert(ident.to_string());
            }
            return;
        }
        self.defines.extend(name_of(item));
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.take(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.used.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    /// What a macro of the file makes, as far as its body or its arguments name it: `pub enum Check`, or `Skip { … }`.
    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        made(item.mac.tokens.clone(), &mut self.defines);
        visit::visit_item_macro(self, item);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        self.visit_path(&mac.path);
        self.tokens(mac.tokens.clone());
    }
}
