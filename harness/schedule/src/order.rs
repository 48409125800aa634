//! What the plugin is told to do.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::pin::Pins;
use crate::range::Range;

/// The version of [`Order`] and [`Report`](crate::Report).
pub const SCHEMA: u32 = 4;

/// Who decides at which points a processor is preempted. Points are counted from 0, over all processors, as they come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Nobody: a processor runs until it waits or its time is over.
    None,
    /// The seed, at each point with a chance of one in `per`.
    Random {
        /// The seed.
        seed: u64,
        /// One in so many; 1: at each.
        per: u64,
    },
    /// This list, ascending.
    List {
        /// What happens at which points.
        choices: Vec<Choice>,
    },
    /// Priorities: the processor of the highest runs until it waits, and at `depth` - 1 points that the seed picks among the
    /// first `points` the one that is there gets the lowest.
    Pct {
        /// The seed.
        seed: u64,
        /// How many orderings a defect may need, at least 1.
        depth: u64,
        /// Among how many points.
        points: u64,
    },
}

/// What becomes of the processor at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// Another one has its turn, and then it again.
    Preempt,
    /// It is kept off until another one waits, or for some ticks of the timer of those that run.
    Hold,
}

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The point's number.
    pub event: u64,
    /// What happens.
    pub does: Does,
}

/// Ticks of the timer of those that run after which a processor that was kept off goes on: they may wait for it in a loop,
/// which nothing tells.
pub(crate) const HOLD_TICKS: u32 = 3;

/// Where the guest is made to wait for its TPM, so that no answer's time on the host can be seen in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Physical address of the TIS register `TPM_STS` of locality 0.
    pub status: u64,
    /// The kernel's code that stores to it.
    pub writers: Vec<Range>,
}

/// Where a machine stands still until its monitor stops it, so that it is saved at the same instruction every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Once this address was executed,
    pub after: u64,
    /// the next block that begins here is the last. The schedule is over then.
    pub at: u64,
}

/// What the plugin is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Code in which each block begins with a point.
    pub points: Vec<Range>,
    /// Points count from when this address was executed; `None`: from the start.
    pub begin: Option<u64>,
    /// A processor that executes one of these addresses waits: it has nothing to do, or spins for a lock.
    pub waits: Vec<u64>,
    /// The address that each tick of a processor's timer executes.
    pub tick: Option<u64>,
    /// The schedule is over when one of these addresses is executed.
    pub ends: Vec<u64>,
    /// Where the machine is saved; `None`: it is not.
    pub stop: Option<Stop>,
    /// Name of the saved machine that this one goes on from: the hash begins with it. `None`: it boots.
    pub from: Option<String>,
    /// Who decides.
    pub strategy: Strategy,
    /// The gate of the guest's TPM; `None`: it has none.
    pub gate: Option<Gate>,
    /// A mutex whose holds the report tells; `None`: none.
    #[serde(default)]
    pub watch: Option<Watch>,
    /// Tasks that are held at places of the kernel's code; `None`: none.
    #[serde(default)]
    pub pins: Option<Pins>,
    /// The report tells the [`Coverage`](crate::Coverage).
    #[serde(default)]
    pub coverage: bool,
    /// File for the [`Report`](crate::Report).
    pub report: PathBuf,
}

/// What is wrong with an order.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It is not one.
    #[error("not an order: {0}")]
    Json(#[from] serde_json::Error),
    /// It is one of another version.
    #[error("the order is of version {0}, this is {SCHEMA}: harness and plugin were not built together")]
    Schema(u32),
    /// A chance of one in nothing.
    #[error("a chance of one in 0")]
    Never,
    /// Fewer orderings than one.
    #[error("a depth of 0")]
    Shallow,
    /// A list that is not ascending.
    #[error("point {1} comes after point {0} in the list")]
    Order(u64, u64),
}

impl Order {
    /// Reads one.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn parse(text: &[u8]) -> Result<Order, OrderError> {
        let order: Order = serde_json::from_slice(text)?;
        if order.schema != SCHEMA {
            return Err(OrderError::Schema(order.schema));
        }
        match &order.strategy {
            Strategy::None => {}
            Strategy::Random { per, .. } => {
                if *per == 0 {
                    return Err(OrderError::Never);
                }
            }
            Strategy::List { choices } => {
                if let Some(pair) = choices.windows(2).find(|pair| pair[0].event >= pair[1].event) {
                    return Err(OrderError::Order(pair[0].event, pair[1].event));
                }
            }
            Strategy::Pct { depth, .. } => {
                if *depth == 0 {
                    return Err(OrderError::Shallow);
                }
            }
        }
        Ok(order)
    }
}

/// A mutex whose holds are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Where it is.
    pub mutex: u64,
    /// The functions that take a mutex,
    pub takes: Vec<u64>,
    /// those that take it or give another result than 0,
    pub tries: Vec<u64>,
    /// and the one that gives it back.
    pub gives: u64,
    /// Code of those that hold it for each record and are not told one by one.
    pub appends: Vec<Range>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pin::{Pin, Spot, Until};

    pub(crate) fn order() -> Order {
        Order {
            schema: SCHEMA,
            points: vec![Range { begin: 16, end: 32 }],
            begin: None,
            waits: vec![70],
            tick: None,
            ends: vec![64],
            stop: Some(Stop { after: 80, at: 96 }),
            from: Some("ab".into()),
            strategy: Strategy::Random { seed: 7, per: 10 },
            gate: Some(Gate { status: 0xfed4_0018, writers: vec![Range { begin: 48, end: 56 }] }),
            watch: Some(Watch {
                mutex: 8,
                takes: vec![112],
                tries: vec![120],
                gives: 128,
                appends: vec![Range { begin: 16, end: 24 }],
            }),
            pins: Some(pins()),
            coverage: false,
            report: "/scratch/report".into(),
        }
    }

    fn pins() -> Pins {
        let spot = |from| Spot { address: 20, from };
        let to = spot(vec![Range { begin: 16, end: 24 }]);
        let until = [Until::Comes { task: 2, to }, Until::Ends { task: 1, step: 3 }];
        let pins = until.map(|until| Pin { task: 1, at: spot(Vec::new()), until }).to_vec();
        Pins { tell: 144, option: 9, stack: 1 << 14, pins }
    }

    fn read(order: &Order) -> Result<Order, String> {
        Order::parse(&serde_json::to_vec(order).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(&order()), Ok(order()));
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused() {
        let other = Order { schema: SCHEMA + 1, ..order() };
        assert!(read(&other).unwrap_err().contains(&format!("version {}", SCHEMA + 1)));
        let never = Order { strategy: Strategy::Random { seed: 1, per: 0 }, ..order() };
        assert_eq!(read(&never).unwrap_err(), "a chance of one in 0");
        let back = Order {
            strategy: Strategy::List {
                choices: [3, 9, 9].map(|event| Choice { event, does: Does::Hold }).to_vec(),
            },
            ..order()
        };
        assert_eq!(read(&back).unwrap_err(), "point 9 comes after point 9 in the list");
        let shallow = Order { strategy: Strategy::Pct { seed: 1, depth: 0, points: 9 }, ..order() };
        assert_eq!(read(&shallow).unwrap_err(), "a depth of 0");
        assert!(Order::parse(b"{").is_err());
    }
}
