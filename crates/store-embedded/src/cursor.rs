//! The feed's cursor: a position, and whose. Not for others to read: a cluster has no positions.

use store::Cursor;

use crate::bytes::{array, be32, be64};

const CURSOR_BYTES: usize = 20;

pub(crate) fn encode(store: &[u8; 16], position: u64) -> Cursor {
    let mut bytes = store.split_at(8).0.to_vec();
    bytes.extend_from_slice(&position.to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    Cursor(bytes)
}

/// `None` for bytes that this store never gave out.
pub(crate) fn decode(store: &[u8; 16], cursor: &Cursor) -> Option<u64> {
    let bytes = &cursor.0;
    if bytes.is_empty() {
        return Some(0);
    }
    let ours = bytes.len() == CURSOR_BYTES
        && array::<8>(bytes, 0) == array(store, 0)
        && be32(bytes, 16) == bytes.get(..16).map(crc32fast::hash);
    if ours { be64(bytes, 8) } else { None }
}
