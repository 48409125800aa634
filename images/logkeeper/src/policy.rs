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
# The view, a FUSE file system of this kind. A kernel that does not know fs_subtype= refuses the rule; without it the view adds
# one record for each of its files.
dont_measure fsmagic=0x65735546 fs_subtype=imalog
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_the_view_names_its_file_system() {
        let subtype = crate::view::KIND.strip_prefix("fuse.").unwrap();
        assert!(RULES.contains(&format!("fs_subtype={subtype}\n")));
    }
}
