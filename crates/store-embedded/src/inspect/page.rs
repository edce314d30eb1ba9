//! Reads B-tree pages as far as opening needs them: the way down to the last event, which is
//! also every page that the next append will change (<https://sqlite.org/fileformat2.html>,
//! section 1.6). A page that SQLite would misread is found here, before it writes to it.

use super::Image;
use crate::bytes::{be16, be32};

const INTERIOR: u8 = 0x05;
const LEAF: u8 = 0x0d;
/// Far deeper than any file system has room for.
const DEPTH_MAX: usize = 20;

/// The last key of the table that begins on page `root`; 0 when it is empty.
pub(super) fn last_rowid(image: &Image, root: u32) -> Result<u64, String> {
    let mut number = root;
    for _ in 0..DEPTH_MAX {
        let page = load(image, number)?;
        let broken = |what: &str| format!("page {number} {what}");
        let tree = Page::parse(&page).ok_or_else(|| broken("is not a page of the log"))?;
        tree.check_space().ok_or_else(|| broken("has cells that overlap or lead outside"))?;
        if tree.kind == LEAF {
            return tree.last_key().ok_or_else(|| broken("has cells out of order"));
        }
        tree.last_key().ok_or_else(|| broken("has cells out of order"))?;
        number = tree.right_most;
    }
    Err(format!("the tree below page {root} has no end"))
}

/// The list of unused pages must be as long as the header says, or SQLite would write new events
/// over old ones.
pub(super) fn check_freelist(image: &Image, first: &[u8]) -> Result<(), String> {
    let broken = || "its list of unused pages is not as long as it says".to_owned();
    let mut trunk = be32(first, 32).ok_or_else(broken)?;
    let counted = be32(first, 36).filter(|&counted| counted < image.pages).ok_or_else(broken)?;
    let mut found = 0_u32;
    while trunk != 0 && found <= counted {
        let page = load(image, trunk)?;
        let leaves = be32(&page, 4).ok_or_else(broken)?;
        found = found.saturating_add(1).saturating_add(leaves);
        trunk = be32(&page, 0).ok_or_else(broken)?;
    }
    if found == counted { Ok(()) } else { Err(broken()) }
}

fn load(image: &Image, number: u32) -> Result<Vec<u8>, String> {
    if number < 2 || number > image.pages {
        return Err(format!("it leads to page {number} of {}", image.pages));
    }
    image.page(number).map_err(|error| format!("page {number} cannot be read: {error}"))
}

struct Page<'a> {
    bytes: &'a [u8],
    kind: u8,
    header_bytes: usize,
    cells: usize,
    right_most: u32,
}

impl<'a> Page<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let kind = *bytes.first()?;
        let header_bytes = match kind {
            INTERIOR => 12,
            LEAF => 8,
            _ => return None,
        };
        let right_most = if kind == INTERIOR { be32(bytes, 8)? } else { 0 };
        let cells = usize::from(be16(bytes, 3)?);
        (kind == LEAF || cells > 0).then_some(Self { bytes, kind, header_bytes, cells, right_most })
    }

    fn cell_at(&self, index: usize) -> Option<usize> {
        be16(self.bytes, self.header_bytes + index * 2).map(usize::from)
    }

    /// The bytes of a cell on this page, and its key.
    fn cell(&self, at: usize) -> Option<(usize, u64)> {
        if self.kind == INTERIOR {
            let (key, bytes) = varint(self.bytes, at + 4)?;
            return Some((4 + bytes, key));
        }
        let (payload, first) = varint(self.bytes, at)?;
        let (key, second) = varint(self.bytes, at + first)?;
        let local = local_bytes(usize::try_from(payload).ok()?, self.bytes.len())?;
        Some((first + second + local, key))
    }

    /// Strictly ascending keys; the last one, 0 when there is none.
    fn last_key(&self) -> Option<u64> {
        let mut last = 0;
        for index in 0..self.cells {
            let (_, key) = self.cell(self.cell_at(index)?)?;
            if key <= last {
                return None;
            }
            last = key;
        }
        Some(last)
    }

    /// Every byte of the page is header, cell pointer, gap, cell, free block or counted fragment,
    /// and none is two of them. `None` when that is not so.
    fn check_space(&self) -> Option<()> {
        let size = self.bytes.len();
        let content_start = match be16(self.bytes, 5)? {
            0 => 65_536,
            start => usize::from(start),
        };
        if self.header_bytes + self.cells * 2 > content_start || content_start > size {
            return None;
        }
        let mut used = Vec::with_capacity(self.cells);
        for index in 0..self.cells {
            let at = self.cell_at(index)?;
            used.push((at, at + self.cell(at)?.0.max(4)));
        }
        let mut block = usize::from(be16(self.bytes, 1)?);
        while block != 0 {
            let next = usize::from(be16(self.bytes, block)?);
            used.push((block, block + usize::from(be16(self.bytes, block + 2)?)));
            if next != 0 && next <= block {
                return None; // free blocks stand in order: otherwise this would not end
            }
            block = next;
        }
        used.sort_unstable();
        let mut end = content_start;
        let mut fragments = 0;
        for (from, to) in used {
            fragments += from.checked_sub(end)?;
            end = to;
        }
        fragments += size.checked_sub(end)?;
        (fragments == usize::from(*self.bytes.get(7)?)).then_some(())
    }
}

/// How much of a payload is on the page itself, with the pointer to the rest of it if any.
fn local_bytes(payload: usize, page: usize) -> Option<usize> {
    let most = page.checked_sub(35)?;
    if payload <= most {
        return Some(payload);
    }
    let least = (page - 12) * 32 / 255 - 23;
    let wanted = least + (payload - least) % (page - 4);
    Some(if wanted <= most { wanted } else { least } + 4)
}

/// SQLite's variable-length integer: its value and its length.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for index in 0..8 {
        let byte = *bytes.get(at + index)?;
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    Some((value << 8 | u64::from(*bytes.get(at + 8)?), 9))
}
