// SPDX-License-Identifier: GPL-2.0-or-later
//! What of QEMU is called: version 1 of its plugin interface (its documentation, `docs/devel/tcg-plugins.rst`), and
//! functions and variables of its own that no plugin interface has.
//!
//! Everything is looked up when the plugin is loaded: what is missing is told by name, and tests need no QEMU.

#![expect(unsafe_code, reason = "a C interface")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

/// The version of the interface that this is written for. QEMU looks it up before it loads us.
#[unsafe(no_mangle)]
pub(crate) static qemu_plugin_version: c_int = 1;

/// A plugin's number in QEMU.
pub(crate) type Id = u64;

/// What QEMU tells of itself (`qemu_info_t`).
#[repr(C)]
pub(crate) struct Info {
    target_name: *const c_char,
    version_min: c_int,
    version_current: c_int,
    pub(crate) system_emulation: bool,
    pub(crate) processors: c_int,
    max_processors: c_int,
}

/// A block that is being translated.
#[repr(C)]
pub(crate) struct Block {
    _opaque: [u8; 0],
}

#[repr(C)]
struct Instruction {
    _opaque: [u8; 0],
}

#[repr(C)]
struct HardwareAddress {
    _opaque: [u8; 0],
}

#[repr(C)]
struct Processor {
    _opaque: [u8; 0],
}

/// One of QEMU's locks.
#[repr(C)]
pub(crate) struct Mutex {
    _opaque: [u8; 0],
}

/// One of QEMU's conditions.
#[repr(C)]
pub(crate) struct Condition {
    _opaque: [u8; 0],
}

/// Bytes that grow (`GByteArray`).
#[repr(C)]
struct Bytes {
    data: *const u8,
    length: c_uint,
}

/// A register of a processor, by its number for the debugger (`gpr_map`, QEMU's `target/i386/gdbstub.c`).
#[derive(Clone, Copy)]
pub(crate) enum Register {
    /// RAX: what a function of the kernel gives.
    Result = 0,
    /// RDI: what a function of the kernel is called with.
    Argument = 5,
    /// RSP.
    Stack = 7,
}

/// What a thread of QEMU waits for (`AioContext`).
#[repr(C)]
struct Context {
    _opaque: [u8; 0],
}

/// Where QEMU's source takes a lock.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) file: *const c_char,
    pub(crate) line: c_int,
}

/// Takes a lock (`QemuMutexLockFunc`).
pub(crate) type LockFunction = extern "C" fn(*mut Mutex, *const c_char, c_int);
/// Waits for a condition, without the lock meanwhile (`QemuCondWaitFunc`).
pub(crate) type WaitFunction = extern "C" fn(*mut Condition, *mut Mutex, *const c_char, c_int);

/// Called when a block begins: processor, and what was given with it.
pub(crate) type OnBlock = extern "C" fn(c_uint, *mut c_void);
/// Called after an access to memory: processor, what kind, virtual address, and what was given with it.
pub(crate) type OnAccess = extern "C" fn(c_uint, u32, u64, *mut c_void);
/// Called when a block is translated.
pub(crate) type OnTranslation = extern "C" fn(Id, *mut Block);
/// Called when QEMU ends.
pub(crate) type OnExit = extern "C" fn(Id, *mut c_void);

/// `QEMU_PLUGIN_CB_NO_REGS`.
const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_MEM_W`.
const WRITES: c_int = 2;
/// `QEMU_PLUGIN_INLINE_ADD_U64`.
const ADD: c_int = 0;

/// A function that QEMU does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this QEMU does not export `{}`: a plugin cannot switch its CPUs", .0.to_string_lossy())]
pub(crate) struct Missing(&'static CStr);

macro_rules! table {
    ($($name:ident: $type:ty,)+) => {
        /// QEMU's functions.
        #[derive(Clone, Copy)]
        pub(crate) struct Qemu { $($name: $type,)+ }

        impl Qemu {
            /// Looks all of them up with `look`, which gives null for one that is not there.
            fn look_up(look: impl Fn(&CStr) -> *mut c_void) -> Result<Qemu, Missing> {
                Ok(Qemu { $($name: {
                    const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("a name with a zero byte"),
                    };
                    let found = look(NAME);
                    if found.is_null() {
                        return Err(Missing(NAME));
                    }
                    // SAFETY: QEMU's headers declare a function of this type by this name, in all versions that are proved.
                    unsafe { std::mem::transmute::<*mut c_void, $type>(found) }
                },)+ })
            }
        }
    };
}

table! {
    qemu_plugin_register_vcpu_tb_trans_cb: unsafe extern "C" fn(Id, OnTranslation),
    qemu_plugin_register_atexit_cb: unsafe extern "C" fn(Id, OnExit, *mut c_void),
    qemu_plugin_register_vcpu_tb_exec_cb: unsafe extern "C" fn(*mut Block, OnBlock, c_int, *mut c_void),
    qemu_plugin_register_vcpu_tb_exec_inline: unsafe extern "C" fn(*mut Block, c_int, *mut c_void, u64),
    qemu_plugin_register_vcpu_mem_cb:
        unsafe extern "C" fn(*mut Instruction, OnAccess, c_int, c_int, *mut c_void),
    qemu_plugin_tb_n_insns: unsafe extern "C" fn(*const Block) -> usize,
    qemu_plugin_tb_vaddr: unsafe extern "C" fn(*const Block) -> u64,
    qemu_plugin_tb_get_insn: unsafe extern "C" fn(*const Block, usize) -> *mut Instruction,
    qemu_plugin_get_hwaddr: unsafe extern "C" fn(u32, u64) -> *mut HardwareAddress,
    qemu_plugin_hwaddr_phys_addr: unsafe extern "C" fn(*const HardwareAddress) -> u64,
    qemu_get_cpu: unsafe extern "C" fn(c_int) -> *mut Processor,
    cpu_exit: unsafe extern "C" fn(*mut Processor),
    cpu_stop_current: unsafe extern "C" fn(),
    cpu_resume: unsafe extern "C" fn(*mut Processor),
    cpu_physical_memory_rw: unsafe extern "C" fn(u64, *mut c_void, u64, bool),
    all_cpu_threads_idle: unsafe extern "C" fn() -> bool,
    runstate_is_running: unsafe extern "C" fn() -> bool,
    x86_cpu_gdb_read_register: unsafe extern "C" fn(*mut Processor, *mut Bytes, c_int) -> c_int,
    cpu_memory_rw_debug: unsafe extern "C" fn(*mut Processor, u64, *mut c_void, usize, bool) -> c_int,
    g_byte_array_new: unsafe extern "C" fn() -> *mut Bytes,
    g_byte_array_free: unsafe extern "C" fn(*mut Bytes, c_int) -> *mut u8,
    qemu_in_vcpu_thread: unsafe extern "C" fn() -> bool,
    qemu_mutex_lock_iothread_impl: unsafe extern "C" fn(*const c_char, c_int),
    qemu_mutex_unlock_iothread: unsafe extern "C" fn(),
    qemu_mutex_unlock_impl: unsafe extern "C" fn(*mut Mutex, *const c_char, c_int),
    qemu_get_aio_context: unsafe extern "C" fn() -> *mut Context,
    aio_notify: unsafe extern "C" fn(*mut Context),
    qemu_bql_mutex_lock_func: *mut LockFunction,
    qemu_cond_wait_func: *mut WaitFunction,
}

// SAFETY: the two variables live as long as QEMU, and are read and written as atomic ones.
unsafe impl Send for Qemu {}
// SAFETY: as above.
unsafe impl Sync for Qemu {}

impl Qemu {
    /// Looks them up in the program that has loaded us.
    ///
    /// # Errors
    /// The first that is missing.
    pub(crate) fn load() -> Result<Qemu, Missing> {
        // SAFETY: the name ends with a zero byte; dlsym changes nothing.
        Qemu::look_up(|name| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
    }

    /// Has these called for each block that is translated, and when QEMU ends.
    pub(crate) fn listen(&self, id: Id, translated: OnTranslation, ended: OnExit) {
        // SAFETY: the number is the one that QEMU gave us, and the callbacks live as long as the library.
        unsafe {
            (self.qemu_plugin_register_vcpu_tb_trans_cb)(id, translated);
            (self.qemu_plugin_register_atexit_cb)(id, ended, std::ptr::null_mut());
        }
    }

    fn processor(&self, cpu: c_uint) -> Option<*mut Processor> {
        // SAFETY: it only looks.
        let found = unsafe { (self.qemu_get_cpu)(c_int::try_from(cpu).ok()?) };
        (!found.is_null()).then_some(found)
    }

    /// The processor's turn ends with its block.
    pub(crate) fn preempt(&self, cpu: c_uint) {
        if let Some(processor) = self.processor(cpu) {
            // SAFETY: processors are never removed from our machines, and cpu_exit may be called at any time.
            unsafe { (self.cpu_exit)(processor) }
        }
    }

    /// The processor whose callback we are in has no turn after its block, until it goes on.
    pub(crate) fn stop(&self) {
        // SAFETY: it is called by the thread of all processors, while one of them executes.
        unsafe { (self.cpu_stop_current)() }
    }

    /// The processor has its turns again.
    pub(crate) fn go_on(&self, cpu: c_uint) {
        if let Some(processor) = self.processor(cpu) {
            // SAFETY: as above; only what was stopped by us is stopped.
            unsafe { (self.cpu_resume)(processor) }
        }
    }

    /// A byte at a physical address, as the guest would read it.
    pub(crate) fn byte_at(&self, physical: u64) -> u8 {
        let mut byte = 0u8;
        // SAFETY: one byte is written to where there is one. QEMU takes its own lock for a device's register.
        unsafe { (self.cpu_physical_memory_rw)(physical, (&raw mut byte).cast(), 1, false) };
        byte
    }

    /// A register of a processor that is about to execute a block, in that block's callback.
    pub(crate) fn register(&self, cpu: c_uint, register: Register) -> Option<u64> {
        let processor = self.processor(cpu)?;
        // SAFETY: what a block begins with is in QEMU's memory and nowhere else; the array is ours, and its bytes are read
        // before it is given back.
        unsafe {
            let bytes = (self.g_byte_array_new)();
            (self.x86_cpu_gdb_read_register)(processor, bytes, register as c_int);
            let value = ((*bytes).length == 8).then(|| (*bytes).data.cast::<[u8; 8]>().read());
            (self.g_byte_array_free)(bytes, 1);
            value.map(u64::from_le_bytes)
        }
    }

    /// A word of the guest's memory, at an address of this processor's.
    pub(crate) fn word_at(&self, cpu: c_uint, address: u64) -> Option<u64> {
        let (processor, mut word) = (self.processor(cpu)?, [0u8; 8]);
        // SAFETY: eight bytes are written to where there are eight.
        let failed = unsafe {
            (self.cpu_memory_rw_debug)(processor, address, word.as_mut_ptr().cast(), word.len(), false)
        };
        (failed == 0).then(|| u64::from_le_bytes(word))
    }

    /// Whether no processor has anything to do.
    pub(crate) fn all_idle(&self) -> bool {
        // SAFETY: it only looks.
        unsafe { (self.all_cpu_threads_idle)() }
    }

    /// Whether nobody has stopped the machine, or is about to. Takes the big lock, which this thread does not have.
    pub(crate) fn is_running(&self) -> bool {
        let mut running = false;
        // SAFETY: it only looks.
        self.with_big_lock(|| running = unsafe { (self.runstate_is_running)() });
        running
    }

    /// Whether this thread runs processors.
    pub(crate) fn is_processors_thread(&self) -> bool {
        // SAFETY: it only looks.
        unsafe { (self.qemu_in_vcpu_thread)() }
    }

    /// Gives the main thread a turn of its loop.
    pub(crate) fn wake_main_thread(&self) {
        // SAFETY: the context is there before any plugin, and any thread may notify it.
        unsafe { (self.aio_notify)((self.qemu_get_aio_context)()) }
    }

    /// What is called where the big lock is taken, and where a condition is waited for.
    pub(crate) fn hooked(&self) -> (LockFunction, WaitFunction) {
        // SAFETY: both variables are there, and nobody but us writes to them.
        unsafe { (*self.qemu_bql_mutex_lock_func, *self.qemu_cond_wait_func) }
    }

    /// Has these called instead. Other threads may be about to call what was called before.
    pub(crate) fn hook(&self, lock: LockFunction, wait: WaitFunction) {
        let store = |variable: *mut *mut c_void, function: *mut c_void| {
            // SAFETY: QEMU reads them with `qatomic_read`.
            unsafe { AtomicPtr::from_ptr(variable) }.store(function, Ordering::Release);
        };
        store(self.qemu_bql_mutex_lock_func.cast(), lock as *mut c_void);
        store(self.qemu_cond_wait_func.cast(), wait as *mut c_void);
    }

    /// Takes a lock as QEMU would without us.
    pub(crate) fn lock(&self, function: LockFunction, mutex: *mut Mutex, place: Place) {
        function(mutex, place.file, place.line);
    }

    /// Gives back what [`Qemu::lock`] took.
    pub(crate) fn unlock(&self, mutex: *mut Mutex, place: Place) {
        // SAFETY: the lock is QEMU's, and this thread has it.
        unsafe { (self.qemu_mutex_unlock_impl)(mutex, place.file, place.line) }
    }

    /// Waits as QEMU would without us.
    pub(crate) fn wait(
        &self,
        function: WaitFunction,
        condition: *mut Condition,
        mutex: *mut Mutex,
        place: Place,
    ) {
        function(condition, mutex, place.file, place.line);
    }

    /// Runs `what` with the big lock, which this thread does not have.
    pub(crate) fn with_big_lock(&self, what: impl FnOnce()) {
        // SAFETY: a plugin's callbacks come without the lock.
        unsafe { (self.qemu_mutex_lock_iothread_impl)(c"plugin".as_ptr(), 0) };
        what();
        // SAFETY: it was taken above.
        unsafe { (self.qemu_mutex_unlock_iothread)() };
    }

    /// The physical address of an access; in its own callback only.
    pub(crate) fn physical(&self, access: u32, address: u64) -> Option<u64> {
        // SAFETY: both are those of the callback that we are in.
        unsafe {
            let found = (self.qemu_plugin_get_hwaddr)(access, address);
            (!found.is_null()).then(|| (self.qemu_plugin_hwaddr_phys_addr)(found))
        }
    }
}

/// A block that is being translated, in its own callback.
pub(crate) struct Translation<'a> {
    qemu: &'a Qemu,
    block: *mut Block,
}

impl<'a> Translation<'a> {
    /// # Safety
    /// `block` is the one of the callback that we are in.
    pub(crate) unsafe fn new(qemu: &'a Qemu, block: *mut Block) -> Translation<'a> {
        Translation { qemu, block }
    }

    /// Where it begins.
    pub(crate) fn address(&self) -> u64 {
        // SAFETY: the block is that of our callback, here and below.
        unsafe { (self.qemu.qemu_plugin_tb_vaddr)(self.block) }
    }

    /// How many instructions it has.
    pub(crate) fn instructions(&self) -> usize {
        // SAFETY: see above.
        unsafe { (self.qemu.qemu_plugin_tb_n_insns)(self.block) }
    }

    /// Adds `number` to the counter whenever the block begins.
    pub(crate) fn count(&self, counter: *mut u64, number: u64) {
        // SAFETY: see above; the counter is a static.
        unsafe {
            (self.qemu.qemu_plugin_register_vcpu_tb_exec_inline)(self.block, ADD, counter.cast(), number);
        }
    }

    /// Has `callback` called with its address whenever it begins.
    pub(crate) fn when_it_begins(&self, callback: OnBlock) {
        let with = std::ptr::without_provenance_mut(self.address() as usize);
        // SAFETY: see above.
        unsafe { (self.qemu.qemu_plugin_register_vcpu_tb_exec_cb)(self.block, callback, NO_REGISTERS, with) }
    }

    /// Has `callback` called after each of its stores.
    pub(crate) fn after_stores(&self, callback: OnAccess) {
        for at in 0..self.instructions() {
            // SAFETY: see above; there are so many.
            unsafe {
                let instruction = (self.qemu.qemu_plugin_tb_get_insn)(self.block, at);
                (self.qemu.qemu_plugin_register_vcpu_mem_cb)(
                    instruction,
                    callback,
                    NO_REGISTERS,
                    WRITES,
                    std::ptr::null_mut(),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_qemu_lacks_is_told_by_name() {
        let all_but = |lacking: &'static CStr| {
            move |name: &CStr| {
                if name == lacking { std::ptr::null_mut() } else { std::ptr::dangling_mut::<c_void>() }
            }
        };
        let missing = Qemu::look_up(all_but(c"cpu_exit")).err().unwrap();
        let told = "this QEMU does not export `cpu_exit`: a plugin cannot switch its CPUs";
        assert_eq!(missing.to_string(), told);
        assert!(Qemu::look_up(all_but(c"nothing")).is_ok());
        assert_eq!(
            Qemu::load().err(),
            Some(Missing(c"qemu_plugin_register_vcpu_tb_trans_cb")),
            "no QEMU here"
        );
    }
}
