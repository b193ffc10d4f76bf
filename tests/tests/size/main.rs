//! What a node keeps of each entry in its queue. Alone in its program, which counts what it allocates.

use std::alloc::System;

use cap::Cap;
use fulmar_tests::queue_size;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Octets that an entry may take.
const LIMIT: usize = 300;

#[test]
fn an_entry_takes_at_most_300_octets_of_memory_whether_it_is_due_or_not() {
    let entries = 100_000;
    let figures = queue_size::measure(entries, &|| ALLOCATOR.allocated());
    let each = |octets: usize| octets / entries as usize;
    println!("{} octets each while none is due, {} when all are", each(figures.waiting), each(figures.due));
    assert!(each(figures.waiting) <= LIMIT && each(figures.due) <= LIMIT);
}
