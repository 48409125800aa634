//! The picture itself, as SVG.

use maud::{Markup, html};

use super::columns::{Bar, Columns, Commands};
use super::levels::{Levels, Place};
use imalab_print::{printable, shortened};
use imalab_trace::Origin;

/// Width of a column, pixels.
const COLUMN: usize = 38;
/// Height of a lane, and of a bar in it.
const LANE: usize = 30;
const BAR: usize = 20;
/// Height of the line of marks above the lanes, and of the lists below them.
const MARKS: usize = 34;
const LISTS: usize = 110;
/// Width of a letter of a label.
const LETTER: usize = 7;
/// Most bytes of a label, and of what is shown when the pointer rests on it.
const LABEL: usize = 60;
const TITLE: usize = 400;

/// Names of the lanes beside the picture, each with its height.
pub(super) fn lanes(tasks: &[String]) -> Markup {
    let lane = |height: usize, name: &str| {
        html! { div.lane style=(format!("height:{height}px")) { (printable(name)) } }
    };
    html! {
        (lane(MARKS, ""))
        @for task in tasks { (lane(LANE, task)) }
        (lane(LANE, "TPM"))
        (lane(LISTS, "records"))
    }
}

/// The picture. `lines` gives the scenario's line of each step of the plan, 0 for one that the planner added.
pub(super) fn picture(columns: &Columns, levels: &Levels, tasks: usize, lines: &[u32]) -> Markup {
    let width = (columns.columns.len() + 1) * COLUMN;
    let tpm = MARKS + tasks * LANE;
    let lists = tpm + LANE;
    let height = lists + LISTS;
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height)
            viewBox=(format!("0 0 {width} {height}")) role="img" aria-label="what happened, in order" {
            @for boot in &columns.boots { (upright("boot", *boot, height)) }
            @for note in columns.notes.iter().filter(|note| note.loud) { (upright("loud", note.column, height)) }
            @for (number, note) in (1..).zip(&columns.notes) {
                a href=(format!("#note-{number}")) {
                    text.note.loud[note.loud] x=(x(note.column)) y=(MARKS - 8) { (number) }
                    title { (label(&note.text, TITLE)) }
                }
            }
            @for bar in &columns.bars { (operation(bar, columns.columns.len(), lines)) }
            @for commands in &columns.commands { (command(commands, tpm)) }
            (bands(levels, columns.columns.len(), lists))
        }
    }
}

fn x(column: usize) -> usize {
    column * COLUMN + COLUMN / 2
}

fn label(text: &str, most: usize) -> String {
    shortened(&printable(text), most)
}

fn upright(class: &str, column: usize, height: usize) -> Markup {
    html! { line class=(class) x1=(x(column)) x2=(x(column)) y1="0" y2=(height) {} }
}

fn operation(bar: &Bar, columns: usize, lines: &[u32]) -> Markup {
    let (begin, end) = (x(bar.begin), bar.end.map_or(columns * COLUMN + COLUMN, x));
    let width = end.saturating_sub(begin).max(4);
    let y = MARKS + bar.task * LANE + (LANE - BAR) / 2;
    let text = format!("{} {}", bar.text, bar.outcome);
    let line = lines.get(bar.step).copied().unwrap_or(0);
    html! {
        a href=[(line > 0).then(|| format!("#line-{line}"))] {
            rect.bar.failed[bar.failed].open[bar.end.is_none()] x=(begin) y=(y) width=(width) height=(BAR) rx="3" {}
            @for column in &bar.asleep { rect.asleep x=(x(*column) - 2) y=(y) width="4" height=(BAR) {} }
            @if let Some(text) = fitting(bar, &text, width) { text.label x=(begin + 3) y=(y + BAR - 6) { (text) } }
            title { (label(&text, TITLE)) }
        }
    }
}

/// What of an operation has room in its bar: all of it, or what it is.
fn fitting(bar: &Bar, text: &str, width: usize) -> Option<String> {
    let fits = |text: &&str| text.len() * LETTER < width;
    let call = bar.text.split(' ').next().unwrap_or_default();
    [text, call].into_iter().find(fits).map(|text| label(text, LABEL))
}

fn command(commands: &Commands, top: usize) -> Markup {
    let class = match (&commands.refused, commands.origin, commands.pcr) {
        (Some(_), ..) => "refused",
        (None, Origin::Guest, Some(_)) => "extend",
        (None, Origin::Guest, None) => "command",
        (None, Origin::Harness | Origin::Mark | Origin::Kept, _) => "ours",
    };
    let Commands { name, pcr, count, origin, refused, .. } = commands;
    let pcr = pcr.map_or_else(String::new, |pcr| format!(" PCR {pcr}"));
    let of = match origin {
        Origin::Guest => "guest",
        Origin::Harness => "harness",
        Origin::Mark => "mark of the harness",
        Origin::Kept => "guest, kept from the TPM",
    };
    let refused = refused.as_ref().map_or_else(String::new, |code| format!(", {code}"));
    let text = format!("{count} × {name}{pcr} ({of}){refused}");
    html! {
        g {
            rect.tpm.(class) x=(x(commands.column) - 4) y=(top + 8) width="8" height=(LANE - 14) {}
            @if *count > 1 { text.count x=(x(commands.column)) y=(top + 6) { (count) } }
            title { (label(&text, TITLE)) }
        }
    }
}

/// The lists, one above the other, as high as they are long.
fn bands(levels: &Levels, columns: usize, top: usize) -> Markup {
    let most = levels.iter().map(|(_, level)| level.iter().sum::<u64>()).max().unwrap_or(0);
    let bottom = top + LISTS - 6;
    let height = |records: u64| -> usize {
        let share = records.saturating_mul((LISTS - 16) as u64).checked_div(most).unwrap_or(0);
        usize::try_from(share).unwrap_or(0)
    };
    let ends = levels.iter().skip(1).map(|(column, _)| x(*column)).chain([(columns + 1) * COLUMN]);
    html! {
        @for ((column, level), end) in levels.iter().zip(ends) {
            @let begin = x(*column);
            @for place in Place::ALL {
                @let below: u64 = level[..place as usize].iter().sum();
                @let (low, high) = (height(below), height(below + level[place as usize]));
                @if high > low {
                    rect class=(format!("band {}", class(place))) x=(begin) y=(bottom - high) width=(end.saturating_sub(begin))
                        height=(high - low) {
                        title { (format!("{} records: {}", level[place as usize], place.name())) }
                    }
                }
            }
        }
        text.most x="2" y=(top + 10) { @if most > 0 { (most) } }
    }
}

/// The class of what is drawn for a place.
pub(super) fn class(place: Place) -> &'static str {
    match place {
        Place::Current => "current",
        Place::Staged => "staged",
        Place::Saved => "saved",
        Place::Gone => "gone",
    }
}
