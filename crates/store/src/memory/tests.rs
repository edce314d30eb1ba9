use std::sync::Arc;

use super::MemoryStore;
use crate::conformance;

#[test]
fn memory_store_conforms() {
    conformance::run(|| Arc::new(MemoryStore::new()));
}

#[test]
fn memory_store_outlives_whoever_used_it() {
    conformance::run_reopened(|| {
        let disk = MemoryStore::new();
        Box::new(move || Arc::new(disk.clone()))
    });
}
