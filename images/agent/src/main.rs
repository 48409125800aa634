//! PID 1 of the guest: carries out a program that was handed over whole, and only sends.

fn main() {}
