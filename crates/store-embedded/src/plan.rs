//! What a transaction will do, decided and encoded before it begins: who is in time, where each
//! event comes to lie, and where its stream then ends. It touches no file.

use hashbrown::HashTable;
use store::{AppendError, Version};

use crate::block::{Blocks, Place};
use crate::chain::{self, Key, NewEvent};
use crate::completion::{Outcome, Promise};
use crate::heads::saved::Through;
use crate::heads::{Head, Heads, POSITION_MAX};

#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) key: Key,
    pub(crate) expected: Version,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) promise: Promise,
}

impl Append {
    /// An event counts one, and one more for each KiB.
    pub(crate) fn weight(&self) -> usize {
        self.events.iter().map(|event| 1 + event.bytes.len() / 1_024).sum()
    }
}

/// Made anew for each transaction, in the same memory: fresh pages for it cost as much as hashing.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) blocks: Blocks,
    /// One for each append.
    pub(crate) outcomes: Vec<Outcome>,
    /// Where the log will end.
    pub(crate) end: Through,
    /// Where it ends now.
    begin: Through,
    /// Where the stream of each append ends now.
    known: Vec<Option<Head>>,
    /// Where every stream will end that has to do with it.
    streams: HashTable<(Key, Head)>,
}

impl Plan {
    /// To do nothing.
    pub(crate) fn new(begin: Through) -> Self {
        Self {
            blocks: Blocks::default(),
            outcomes: Vec::new(),
            end: begin,
            begin,
            known: Vec::new(),
            streams: HashTable::new(),
        }
    }

    /// Forgets what it was to do.
    pub(crate) fn make(&mut self, begin: Through, appends: &[Append], heads: &Heads) {
        (self.begin, self.end) = (begin, begin);
        self.blocks.clear();
        self.outcomes.clear();
        self.known.clear();
        self.streams.clear();
        heads.get_all(appends.iter().map(|append| &append.key), &mut self.known);
        for (append, head) in appends.iter().zip(&self.known) {
            let key = append.key;
            let entry = self.streams.entry(hash(&key), |it| it.0 == key, |it| hash(&it.0));
            let planned =
                entry.or_insert_with(|| (key, head.unwrap_or_else(|| Head::origin(&key))));
            let head = &mut planned.into_mut().1;
            self.outcomes.push(place(append, head, &mut self.end, &mut self.blocks));
        }
    }

    /// The heads that it moves.
    pub(crate) fn moved(&self) -> impl Iterator<Item = (&Key, &Head)> {
        let moved = self.streams.iter().filter(|it| it.1.position > self.begin.position);
        moved.map(|(key, head)| (key, head))
    }
}

/// A key is a piece of a hash already.
fn hash(key: &Key) -> u64 {
    key.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Gives the events of one append their places, if it is in time.
fn place(append: &Append, head: &mut Head, end: &mut Through, blocks: &mut Blocks) -> Outcome {
    if append.expected != Version::from(head.version) {
        let actual = Version::from(head.version);
        return Err(AppendError::Conflict { expected: append.expected, actual });
    }
    let events = append.events.len() as u64;
    if u64::from(head.version) + events > u64::from(u32::MAX)
        || end.position + events > POSITION_MAX
    {
        return Err(AppendError::Invalid("the stream or the log is full".to_owned()));
    }
    for event in &append.events {
        let previous = head.position;
        end.position += 1;
        head.version += 1;
        head.position = end.position;
        head.link = chain::link(&head.link, head.version, &event.digest);
        end.link = head.link;
        let Head { position, version, link } = *head;
        blocks.push(&Place { position, version, previous, link }, event);
    }
    Ok(Version::from(head.version))
}
