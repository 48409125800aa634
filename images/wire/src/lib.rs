//! The messages that the harness and the agent exchange.
