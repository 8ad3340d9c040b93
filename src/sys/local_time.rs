//! The local time zone's distance from UTC at a moment.

/// Seconds that local time is ahead of UTC at `unix_seconds`; 0 where the system cannot say.
pub fn utc_offset(unix_seconds: i64) -> i32 {
    let seconds: libc::time_t = unix_seconds as libc::time_t;
    let mut parts = std::mem::MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call; localtime_r writes the whole structure unless it returns null.
    let written = unsafe { libc::localtime_r(&seconds, parts.as_mut_ptr()) };
    if written.is_null() {
        return 0;
    }
    // SAFETY: localtime_r succeeded, so every field is written.
    let offset = unsafe { parts.assume_init() }.tm_gmtoff;
    i32::try_from(offset).unwrap_or(0)
}
