//! The client of the agent: decodes its frames into events.
