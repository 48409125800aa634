//! Names of TPM commands, for people.

use imalab_wire::MARK_COMMAND;

/// The command's name as in TPM 2.0 Library Part 2, 6.5.2, with `TPM2_` before it; `mark` for
/// [`MARK_COMMAND`]. `None` for a command that neither Linux, QEMU, its firmware nor imalab sends.
pub fn name(code: u32) -> Option<&'static str> {
    Some(match code {
        0x11f => "TPM2_NV_UndefineSpaceSpecial",
        0x120 => "TPM2_EvictControl",
        0x121 => "TPM2_HierarchyControl",
        0x122 => "TPM2_NV_UndefineSpace",
        0x124 => "TPM2_ChangeEPS",
        0x125 => "TPM2_ChangePPS",
        0x126 => "TPM2_Clear",
        0x127 => "TPM2_ClearControl",
        0x129 => "TPM2_HierarchyChangeAuth",
        0x12a => "TPM2_NV_DefineSpace",
        0x12b => "TPM2_PCR_Allocate",
        0x12e => "TPM2_SetPrimaryPolicy",
        0x131 => "TPM2_CreatePrimary",
        0x134 => "TPM2_NV_Increment",
        0x135 => "TPM2_NV_SetBits",
        0x136 => "TPM2_NV_Extend",
        0x137 => "TPM2_NV_Write",
        0x138 => "TPM2_NV_WriteLock",
        0x139 => "TPM2_DictionaryAttackLockReset",
        0x13c => "TPM2_PCR_Event",
        0x13d => "TPM2_PCR_Reset",
        0x13e => "TPM2_SequenceComplete",
        0x142 => "TPM2_IncrementalSelfTest",
        0x143 => "TPM2_SelfTest",
        0x144 => "TPM2_Startup",
        0x145 => "TPM2_Shutdown",
        0x146 => "TPM2_StirRandom",
        0x148 => "TPM2_Certify",
        0x14e => "TPM2_NV_Read",
        0x14f => "TPM2_NV_ReadLock",
        0x151 => "TPM2_PolicySecret",
        0x153 => "TPM2_Create",
        0x157 => "TPM2_Load",
        0x158 => "TPM2_Quote",
        0x15b => "TPM2_HMAC_Start",
        0x15c => "TPM2_SequenceUpdate",
        0x15d => "TPM2_Sign",
        0x15e => "TPM2_Unseal",
        0x161 => "TPM2_ContextLoad",
        0x162 => "TPM2_ContextSave",
        0x165 => "TPM2_FlushContext",
        0x167 => "TPM2_LoadExternal",
        0x169 => "TPM2_NV_ReadPublic",
        0x16b => "TPM2_PolicyAuthValue",
        0x173 => "TPM2_ReadPublic",
        0x176 => "TPM2_StartAuthSession",
        0x177 => "TPM2_VerifySignature",
        0x17a => "TPM2_GetCapability",
        0x17b => "TPM2_GetRandom",
        0x17c => "TPM2_GetTestResult",
        0x17d => "TPM2_Hash",
        0x17e => "TPM2_PCR_Read",
        0x17f => "TPM2_PolicyPCR",
        0x181 => "TPM2_ReadClock",
        0x182 => "TPM2_PCR_Extend",
        0x185 => "TPM2_EventSequenceComplete",
        0x186 => "TPM2_HashSequenceStart",
        0x189 => "TPM2_PolicyGetDigest",
        0x18a => "TPM2_TestParms",
        MARK_COMMAND => "mark",
        _ => return None,
    })
}

/// The name, or the code when there is none.
pub(super) fn label(code: u32) -> String {
    name(code).map_or_else(|| format!("TPM command {code:#x}"), str::to_owned)
}
