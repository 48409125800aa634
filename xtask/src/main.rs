//! The front door of imalab: brings the tools, builds kernels and images, then calls the harness.

fn main() {}
