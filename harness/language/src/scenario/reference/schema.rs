//! A JSON Schema of scenario files, for editors.
//!
//! It says what can be said of each place by itself; what several places must agree on, the parser alone knows.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::defect::short;
use super::super::expectation;
use super::super::grammar::{self, Expect, Field, Form, NEVER_CHOSEN, Shape, special_files};
use crate::finding::{Entry, GROUPS};
use imalab_formats::ima::Bank;

/// Names of tasks, parameters, descriptors and so on.
const NAME: &str = "^[a-z][a-z0-9-]{0,63}$";

/// Text of a single line that is not blank, in what editors' regular expressions and ours have in common.
const LINE: &str = "^[^\\x00-\\x1F\\x7F-\\x9F]*[^\\x00-\\x1F\\x7F-\\x9F\\s][^\\x00-\\x1F\\x7F-\\x9F]*$";

/// Whether parameters are put in at a place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameters {
    /// `${name}` may stand for the value.
    Allowed,
    /// The head of the file is read as it stands.
    Not,
}

/// The schema, of draft 7, which editors know.
pub fn schema() -> Value {
    let mut schema = map(grammar::KEYS, Parameters::Allowed);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!("imalab scenario");
    schema["anyOf"] = json!([{"required": ["steps"]}, {"required": ["tasks"]}]);
    schema["definitions"] = json!({
        "parameter": {"type": "string", "pattern": "\\$\\{"},
        "step": step(&|_| true),
        "chosen-step": step(&|form| !NEVER_CHOSEN.contains(&form.name)),
        "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/step"}},
        "outcome": {"anyOf": [
            {"enum": expectation::WORDS}, {"enum": expectation::errnos()}, parameter(), {"type": "null"},
        ]},
    });
    for form in grammar::forms() {
        schema["definitions"][definition(form)] = verb(form);
    }
    schema
}

/// A step: a verb's name, or a map of it alone.
fn step(takes: &dyn Fn(&Form) -> bool) -> Value {
    let forms = || grammar::forms().filter(|form| takes(form));
    let bare: Vec<_> = forms().filter(|form| is_bare(form)).map(|form| form.name).collect();
    let refer = |form: &Form| json!({"$ref": format!("#/definitions/{}", definition(form))});
    let verbs: Map<_, _> = forms().map(|form| (form.name.to_owned(), refer(form))).collect();
    json!({"anyOf": [
        {"enum": bare},
        {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false, "properties": verbs},
    ]})
}

/// Where the schema has what stands below a verb.
fn definition(form: &Form) -> String {
    format!("verb-{}", form.name)
}

/// Whether a verb needs no fields.
fn is_bare(form: &Form) -> bool {
    form.one_of.is_empty() && form.fields.iter().all(|field| field.required.is_none())
}

fn verb(form: &Form) -> Value {
    let mut long = map(form.fields, Parameters::Allowed);
    if let Expect::Yes(counts) = form.expect {
        long["properties"]["expect"] = expect(counts);
    }
    if !form.one_of.is_empty() {
        let each = form.one_of.iter().map(|name| json!({"required": [name]}));
        long["oneOf"] = each.collect();
    }
    let mut any = Vec::new();
    if let Some(field) = form.fields.iter().find(|field| form.short == Some(field.name)) {
        any.push(value(field.shape, Parameters::Allowed));
    }
    if is_bare(form) {
        any.push(json!({"type": "null"}));
    }
    any.push(long);
    json!({"description": form.doc, "anyOf": any})
}

fn expect(counts: &[&str]) -> Value {
    let mut any = vec![json!({"$ref": "#/definitions/outcome"})];
    if !counts.is_empty() {
        let number = |count: &str| match count {
            "records" | "new-records" => Shape::Number(0, grammar::MAX_FILES),
            _ => Shape::Signed,
        };
        let properties: Map<_, _> = counts
            .iter()
            .map(|count| ((*count).to_owned(), value(number(count), Parameters::Allowed)))
            .collect();
        any.push(json!({
            "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
            "properties": properties,
        }));
    }
    json!({"description": "what the step must give", "anyOf": any})
}

/// A map with these keys and no others; what may be left out may also be empty.
fn map(fields: &[Field], parameters: Parameters) -> Value {
    let required: Vec<_> =
        fields.iter().filter(|field| field.required.is_some()).map(|field| field.name).collect();
    let properties: Map<_, _> = fields
        .iter()
        .map(|field| {
            let inner = if HEAD.contains(&field.name) { Parameters::Not } else { parameters };
            let mut any = vec![value(field.shape, inner)];
            any.extend(field.required.is_none().then(null));
            let mut schema = json!({"description": field.doc, "anyOf": any});
            if let Some(default) = field.default {
                schema["description"] = json!(format!("{} (default: {default})", field.doc));
            }
            (field.name.to_owned(), schema)
        })
        .collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required})
}

/// Keys in which no parameter is put in.
const HEAD: &[&str] = &["summary", "promise", "needs", "matrix", "race", "known-defect"];

fn null() -> Value {
    json!({"type": "null"})
}

fn parameter() -> Value {
    json!({"$ref": "#/definitions/parameter"})
}

/// What a value may be.
fn value(shape: Shape, parameters: Parameters) -> Value {
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let plain = match shape {
        Shape::Number(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
        Shape::Signed => json!({"type": "integer"}),
        Shape::NumberOr(from, to, words) => {
            json!({"anyOf": [{"type": "integer", "minimum": from, "maximum": to}, {"enum": words}]})
        }
        Shape::Truth => json!({"type": "boolean"}),
        Shape::Name => text(NAME),
        Shape::Text => text("\\S"),
        Shape::Texts => return listed(text(LINE), parameters, 1),
        Shape::Bytes => json!({"type": "string"}),
        Shape::Hex => text("^([0-9a-fA-F]{2})*$"),
        Shape::Word(words) => json!({"enum": words}),
        Shape::Words(_) | Shape::Capabilities => {
            return listed(json!({"enum": shape.several()}), parameters, 0);
        }
        Shape::Code => json!({"enum": codes()}),
        Shape::Finding => json!({"type": "object", "propertyNames": {"enum": finding_fields()}}),
        Shape::CommandLine => return listed(text("^[^\\s\"]*$"), parameters, 0),
        Shape::Path => text("^/"),
        Shape::File => json!({"anyOf": [{"enum": special_files()}, text("^/")]}),
        Shape::Banks => {
            let banks = Bank::ALL.map(Bank::name).join("|");
            return listed(text(&format!("^({banks})(\\+({banks}))*$")), parameters, 1);
        }
        Shape::Steps => return json!({"$ref": "#/definitions/steps"}),
        Shape::Choice => return choice(),
        Shape::Version => text("^[0-9]+(\\.[0-9]+){0,2}$"),
        Shape::Matrix => return matrix(),
        Shape::Tasks => return tasks(),
        Shape::Arguments => return listed(json!({"type": "string"}), parameters, 0),
        Shape::Programs => {
            let program = map(grammar::PROGRAM, parameters);
            return json!({"type": "object", "propertyNames": {"pattern": NAME}, "additionalProperties": program});
        }
        Shape::Files => {
            let file = json!({"anyOf": [{"type": "string"}, map(grammar::FILE, parameters)]});
            return json!({"type": "object", "propertyNames": {"pattern": "^/"}, "additionalProperties": file});
        }
        Shape::Map(fields) => return map(fields, parameters),
        Shape::Maps(fields) => {
            let one = map(fields, parameters);
            return json!({"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]});
        }
    };
    scalar(plain, parameters)
}

/// Codes of the findings of all checks, without the check.
fn codes() -> BTreeSet<&'static str> {
    checked().map(short).collect()
}

fn finding_fields() -> BTreeSet<&'static str> {
    checked().flat_map(|entry| entry.fields).map(|(name, _)| *name).collect()
}

/// Codes of what a known defect may show in.
fn checked() -> impl Iterator<Item = &'static Entry> {
    GROUPS.iter().filter(|group| grammar::CHECKS.contains(&group.prefix)).flat_map(|group| group.codes)
}

/// A scalar, for which a parameter may stand.
fn scalar(plain: Value, parameters: Parameters) -> Value {
    match parameters {
        Parameters::Allowed => json!({"anyOf": [plain, parameter()]}),
        Parameters::Not => plain,
    }
}

/// One of these, or a list of them.
fn listed(item: Value, parameters: Parameters, least: usize) -> Value {
    let item = scalar(item, parameters);
    json!({"anyOf": [item, {"type": "array", "minItems": least, "items": item}]})
}

fn choice() -> Value {
    let step = json!({"$ref": "#/definitions/chosen-step"});
    let list = json!({"type": "array", "minItems": 1, "items": step});
    json!({"type": "array", "minItems": 1, "items": {"anyOf": [step, list]}})
}

fn matrix() -> Value {
    let values = json!({
        "type": "array", "minItems": 1, "uniqueItems": true, "items": {"type": ["string", "integer", "boolean"]},
    });
    json!({"type": "object", "propertyNames": {"pattern": NAME}, "additionalProperties": values})
}

fn tasks() -> Value {
    let long = map(grammar::TASK, Parameters::Allowed);
    let task = json!({"anyOf": [{"$ref": "#/definitions/steps"}, long]});
    json!({"type": "object", "propertyNames": {"pattern": NAME}, "additionalProperties": task})
}
