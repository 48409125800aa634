//! Rules for a policy of IMA, so that keeping records makes none.

/// Rules to put in front of others. A file of the keeper's is written once and read again when the keeper starts, which a policy such as
/// `tcb` measures wherever it lies on a measured file system.
pub const RULES: &str = "\
# Rules for /etc/ima/ima-policy, in front of all others, so that the log keeper adds no records of its own.
# Shards: the UUID of the file system that they are on, which should hold nothing else (findmnt -no UUID -T FOLDER).
dont_measure fsuuid=UUID
# securityfs and sysfs, where lists, counters and PCRs are read; most policies have these two.
dont_measure fsmagic=0x73636673
dont_measure fsmagic=0x62656572
";
