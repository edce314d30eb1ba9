use std::cell::RefCell;
use std::sync::Arc;

use store::EventStore;
use store::conformance;
use store_embedded::{EmbeddedStore, Options};
use tempfile::TempDir;

#[test]
fn embedded_store_conforms() {
    let places = RefCell::new(Vec::new());
    conformance::run(|| {
        let place = TempDir::new().unwrap();
        let store = open(&place);
        places.borrow_mut().push(place);
        store
    });
}

#[test]
fn embedded_store_conforms_across_openings() {
    conformance::run_reopened(|| {
        let place = TempDir::new().unwrap();
        Box::new(move || open(&place))
    });
}

fn open(place: &TempDir) -> Arc<dyn EventStore> {
    Arc::new(EmbeddedStore::open(place.path(), &Options::default()).unwrap())
}
