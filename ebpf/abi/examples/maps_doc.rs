//! Prints `docs/maps.md` from the table of maps: `cargo xtask maps-doc` writes it.
#![allow(clippy::print_stdout, reason = "its whole purpose")]

use abi::{CONFIG, DropReason, LAYOUT_VERSION, maps::MAPS};

fn main() {
    println!("# Maps, layout {LAYOUT_VERSION}\n");
    println!("Generated from `ebpf/abi` by `cargo xtask maps-doc`; do not edit.\n");
    println!("All maps are pinned under `<bpf-root>/ferrule/{LAYOUT_VERSION}/<name>`. Sizes are bytes.\n");
    println!("| name | type | key | value | entries | writer | reader |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for m in MAPS {
        println!(
            "| `{}` | {} | {} ({}) | {} ({}) | {} | {} | {} |",
            m.name,
            m.kind.as_str(),
            m.key,
            m.key_bytes,
            m.value,
            m.value_bytes,
            m.default_entries,
            m.writer,
            m.reader
        );
    }
    println!("\n## What an entry says, and what happens when the map is full\n");
    println!("| name | key → value | when full |\n| --- | --- | --- |");
    for m in MAPS {
        println!("| `{}` | {} | {} |", m.name, m.doc, m.when_full);
    }
    println!("\n## Drop reasons (`DROPS`)\n\n| number | name |\n| --- | --- |");
    for r in DropReason::ALL {
        println!("| {} | `{}` |", r as u32, r.as_str());
    }
    println!("\n## Load-time constants\n\n| name | type | meaning |\n| --- | --- | --- |");
    for c in CONFIG {
        println!("| `{}` | {} | {} |", c.name, c.ty, c.doc);
    }
}
