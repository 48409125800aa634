//! How a seed decides, in the words of the command line and of scenarios.

use std::fmt;
use std::str::FromStr;

use crate::Holds;

/// How a seed decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// At each point, with a chance of one in so many; 0: never.
    Random {
        /// One in so many.
        one_in: u64,
    },
    /// By priorities, as [`Strategy::Pct`](crate::Strategy::Pct).
    Pct {
        /// How many orderings a defect may need, at least 1.
        depth: u64,
    },
    /// At one point, or at two: the seed counts them, so that one seed after the other leaves none out.
    Exhaustive(Holds),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Random { one_in } => write!(f, "random:{one_in}"),
            Way::Pct { depth } => write!(f, "pct:{depth}"),
            Way::Exhaustive(Holds::One) => f.write_str("one"),
            Way::Exhaustive(Holds::Two) => f.write_str("two"),
        }
    }
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Way, String> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("expected a number, not `{text}`"));
        match text.split_once(':') {
            Some(("random", one_in)) => Ok(Way::Random { one_in: number(one_in)? }),
            Some(("pct", depth)) => match number(depth)? {
                depth @ 1..=16 => Ok(Way::Pct { depth }),
                _ => Err("expected a depth of 1 to 16".to_owned()),
            },
            None if text == "one" => Ok(Way::Exhaustive(Holds::One)),
            None if text == "two" => Ok(Way::Exhaustive(Holds::Two)),
            _ => Err("expected random:N, pct:N, one or two".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_have_a_name_and_a_number() {
        for way in [
            Way::Random { one_in: 10 },
            Way::Pct { depth: 3 },
            Way::Exhaustive(Holds::One),
            Way::Exhaustive(Holds::Two),
        ] {
            assert_eq!(way.to_string().parse(), Ok(way));
        }
        for wrong in ["", "random", "pct:0", "pct:17", "pct:x", "dfs:2", "one:1", "three"] {
            assert!(wrong.parse::<Way>().is_err(), "{wrong}");
        }
    }
}
