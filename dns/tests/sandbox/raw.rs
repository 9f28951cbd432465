//! System calls by number.

/// Makes a call; the error is the number in errno.
///
/// For calls that touch no memory of this process with these arguments, because they are refused or have no pointer to it.
pub(crate) fn call(number: i64, args: [i64; 6]) -> Result<i64, i32> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: all arguments are integers or null pointers (the callers' tables); fresh mappings are nobody else's memory.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { Ok(result) }
}
