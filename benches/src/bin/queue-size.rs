//! Measures a queue of a million entries, or as many as its argument says, and prints the figures.

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::alloc::System;
use std::process::ExitCode;

use cap::Cap;
use fulmar_tests::queue_size;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_else(|| "1000000".to_owned());
    let Ok(entries) = argument.parse() else {
        println!("how many entries?");
        return ExitCode::from(2);
    };
    let figures = queue_size::measure(entries, &|| ALLOCATOR.allocated());
    let each = |octets: usize| octets as f64 / entries as f64;
    println!("entries                     {entries}");
    println!("memory, none due            {:.0} octets each", each(figures.waiting));
    println!("memory, all due             {:.0} octets each", each(figures.due));
    println!("adopted and scheduled in    {:.0?}", figures.adopted_in);
    println!("manager silent for at most  {:.0?}", figures.silence);
    println!("retry of one ordered in     {:.0?}", figures.ordered_in);
    println!("checkpoint                  {:.0} octets each", each(figures.checkpoint));
    println!("  encoded in                {:.0?}", figures.checkpoint_in[0]);
    println!("  decoded in                {:.0?}", figures.checkpoint_in[1]);
    println!("another message             {:.1?}", figures.another);
    println!("10,000 outcomes of one      {:.0?}", figures.ten_thousand);
    ExitCode::SUCCESS
}
