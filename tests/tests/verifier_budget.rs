//! Every program loads, and costs the verifier no more than `budgets.toml` says.

use std::collections::BTreeMap;

use aya::EbpfLoader;
use tests::skip::{may_run, test_name};
use tests::{object, tables};

/// `name = instructions`, one a line.
fn budgets() -> BTreeMap<String, u32> {
    let lines = include_str!("../budgets.toml").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, insns) = line.split_once(" = ").unwrap_or_else(|| panic!("budgets.toml: {line}"));
            (name.to_owned(), insns.parse().unwrap_or_else(|e| panic!("budgets.toml: {line}: {e}")))
        })
        .collect()
}

#[test]
fn every_program_loads_within_its_budget() {
    if !may_run(&test_name(&|| ())) {
        return;
    }
    let mut loader = EbpfLoader::new();
    for (map, entries) in tables::SIZES {
        loader.map_max_entries(map, *entries);
    }
    let mut ebpf = loader.load_file(object::path()).expect("the kernel programs");
    let mut verified = BTreeMap::new();
    for (name, program) in ebpf.programs_mut() {
        object::load(program).unwrap_or_else(|e| panic!("{name}: {e}"));
        // Linux 5.16 reports it first.
        let insns = program.info().expect("a description").verified_instruction_count().unwrap_or_default();
        println!("{name} = {insns}");
        verified.insert(name.to_owned(), insns);
    }
    let budgets = budgets();
    assert!(verified.keys().eq(budgets.keys()), "programs {verified:?}, budgets {budgets:?}");
    let over: Vec<_> = verified.iter().filter(|(name, insns)| *insns > &budgets[*name]).collect();
    assert!(over.is_empty(), "over budget: {over:?}");
}
