//! One adapter per kernel interface: verbs become system calls.
