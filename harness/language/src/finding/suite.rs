//! What keeps a run from beginning, and what is said of a kernel as a whole.

findings! {
    /// Why a run did not begin.
    Skip {
        /// The kernel lacks capabilities that the scenario needs.
        "skip/lacks" Lacks { release: String, capabilities: Vec<String> }
        /// The scenario goes on in a kernel that was not given.
        "skip/no-kernel" NoKernel { kernel: String }
        /// The scenario has the TPM held, late or silent in host time, which no guest of the deterministic lane can see.
        "skip/host-time" HostTime {}
        /// The scenario goes on in another kernel, whose code is at other addresses than the deterministic lane knows.
        "skip/other-kernel" OtherKernel {}
    }
}

findings! {
    /// A kernel lacks what `kernels.yaml` says that it offers.
    Offers {
        /// Capabilities that the kernel must offer were not found; what needs them was skipped.
        "offers/lacks" Lacks { kernel: String, release: String, capabilities: Vec<String> }
        /// A capability that the kernel must offer was not found.
        "offers/lacking" Lacking { kernel: String, capability: String }
    }
}

findings! {
    /// What is known of a kernel, and whether the run showed it.
    Known {
        /// A known defect showed exactly as its scenario says.
        "known/defect-shown" DefectShown { breaks: String }
        /// A known limit showed exactly as its scenario says.
        "known/limit-shown" LimitShown { why: String }
        /// A known defect did not show, on a kernel that somebody may have mended.
        "known/defect-not-present" DefectNotPresent { breaks: String }
        /// A known limit did not show, on a kernel that somebody may have mended.
        "known/limit-not-present" LimitNotPresent { why: String }
        /// A stock kernel no longer has a known defect: the scenario's range of kernels is to be changed.
        "known/defect-gone" DefectGone { breaks: String }
        /// A stock kernel no longer has a known limit.
        "known/limit-gone" LimitGone { why: String }
    }
}
