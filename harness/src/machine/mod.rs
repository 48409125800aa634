//! The machine: QEMU's command line, QMP, console, accelerator choice, children that die with us.
