//! Numbers for names: given out smallest first, kept while in use, reused only when released.

pub(crate) mod blocks;
pub(crate) mod contents;
pub(crate) mod names;
pub(crate) mod pool;
