//! One heap for all threads, which gives back what lies free.
//!
//! The C library's heap keeps what its busiest moment needed wherever something that stays lies behind
//! it, and does so once for each thread. jemalloc gives free pages back wherever they lie. Its settings
//! are built in (`.cargo/config.toml`): one arena, as few threads ask it for much at a time; free pages
//! go back at once; each thread keeps only small blocks for itself.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static HEAP: Jemalloc = Jemalloc;
