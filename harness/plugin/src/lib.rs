// SPDX-License-Identifier: GPL-2.0-or-later
//! A plugin of QEMU by which a guest's processors are switched where a schedule says, and wait for their TPM outside of
//! their own time.
//!
//! `-plugin libimalab_plugin.so,order=FILE`: FILE is an `imalab_schedule::Order`. QEMU has to run all processors in one
//! thread and to count instructions (`-accel tcg,thread=single -icount`).

mod door;
mod install;
mod lane;
mod qemu;
mod threads;
