//! What the kernel says of a process in `/proc/PID/status`; see proc(5).

/// Resident memory in bytes; `None` for a process that has ended, which has no such line.
pub(super) fn resident(status: &str) -> Option<u64> {
    kibibytes(status, "VmRSS:")
}

/// The most resident memory that it has had, in bytes.
pub(crate) fn peak(status: &str) -> Option<u64> {
    kibibytes(status, "VmHWM:")
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_and_no_other_line_is_taken_for_it() {
        let status =
            "Name:\tVmRSS: 7 kB\nVmHWM:\t   30000 kB\nVmRSS:\t   25276 kB\nRssAnon:\t 4 kB\n";
        assert_eq!(resident(status), Some(25276 * 1024));
        assert_eq!(peak(status), Some(30000 * 1024));
    }

    #[test]
    fn a_process_that_has_ended_and_a_unit_that_is_unknown_have_none() {
        assert_eq!(resident("Name:\tagent\nState:\tZ (zombie)\n"), None);
        assert_eq!(resident("VmRSS:\t 25276 MB\n"), None);
        assert_eq!(resident("VmRSS:\t many kB\n"), None);
    }

    #[test]
    fn this_process_has_some() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(resident(&status).unwrap() > 1 << 20);
    }
}
