//! The reference of the language and its schema, made of the grammar.

mod markdown;
mod schema;
#[cfg(test)]
mod tests;

pub use markdown::markdown;
pub use schema::schema;
