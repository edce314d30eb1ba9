// What a device has to tell the server, kept until it is acknowledged. Nothing here depends on the
// order in which it arrives, and everything may arrive twice. No fetch and no storage of its own.

/** The server takes up to 500 events at once. */
export const BATCH_EVENTS_MAX = 200;

const BACKOFF_FIRST_MS = 2_000;
const BACKOFF_MS_MAX = 5 * 60_000;

/** What came of sending a batch: a status, or nothing at all. */
export type Sent = number | 'unreachable';

export type Verdict =
  /** Told: take it out. */
  | 'acknowledged'
  /** Not told: keep it and try again later. */
  | 'later'
  /** Something in it is not acceptable: find out what, in halves. */
  | 'halve'
  /** This one will never be taken, and must not hold up what stands behind it. */
  | 'drop';

export function verdict(sent: Sent, size: number): Verdict {
  if (sent === 'unreachable') return 'later';
  if (sent >= 200 && sent < 300) return 'acknowledged';
  // Who is asking, and how often, can mend itself; so can everything on the server's side.
  if (sent >= 500 || [401, 403, 404, 408, 409, 425, 429].includes(sent)) return 'later';
  return size > 1 ? 'halve' : 'drop';
}

/** Doubling up to five minutes, then spread over half of it, so that a fleet does not come at once. */
export function backoffMs(failures: number, random: number): number {
  const full = Math.min(BACKOFF_MS_MAX, BACKOFF_FIRST_MS * 2 ** Math.max(0, failures - 1));
  return Math.round(full * (0.5 + random / 2));
}

export interface Outbox<Item> {
  oldest(count: number): Promise<Item[]>;
  remove(items: readonly Item[]): Promise<void>;
}

/** Sends until nothing is left or the server wants no more; true when nothing is left. */
export async function drain<Item>(
  outbox: Outbox<Item>,
  send: (items: readonly Item[]) => Promise<Sent>,
  dropped: (item: Item, status: Sent) => void,
): Promise<boolean> {
  let size = BATCH_EVENTS_MAX;
  for (;;) {
    const batch = await outbox.oldest(size);
    if (batch.length === 0) return true;
    const sent = await send(batch);
    switch (verdict(sent, batch.length)) {
      case 'acknowledged':
        await outbox.remove(batch);
        break;
      case 'later':
        return false;
      case 'halve':
        size = Math.ceil(batch.length / 2);
        break;
      case 'drop':
        for (const item of batch) dropped(item, sent);
        await outbox.remove(batch);
        size = BATCH_EVENTS_MAX;
        break;
    }
  }
}
