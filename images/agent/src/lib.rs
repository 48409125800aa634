//! The agent: PID 1 of the guest, which carries out a program that was handed over whole, and only sends.
//!
//! [`pid1`] boots and never returns; [`ordinary`] runs the same interpreter as a process of any Linux machine,
//! for tests and for trying a program out. Tasks are processes and threads, each with a socket to the first process,
//! which alone writes to the port: whoever dies takes no half a frame with it.

mod barrier;
mod clock;
mod console;
mod kexec;
mod life;
mod mounts;
mod observe;
mod ops;
pub mod ordinary;
mod packet;
mod pcr;
pub mod pid1;
mod policy;
mod port;
mod process;
mod program;
mod raw;
mod replay;
mod setup;
mod shell;
mod slots;
mod sockets;
mod supervise;
mod task;
mod uevent;
mod uplink;
