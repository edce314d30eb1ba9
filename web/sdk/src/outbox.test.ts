import { describe, expect, it } from 'vitest';

import { backoffMs, BATCH_EVENTS_MAX, drain, verdict, type Outbox, type Sent } from './outbox';

it.each<[Sent, number, string]>([
  [200, 3, 'acknowledged'],
  [201, 1, 'acknowledged'],
  ['unreachable', 3, 'later'],
  [503, 3, 'later'],
  [429, 3, 'later'],
  [401, 3, 'later'],
  [400, 3, 'halve'],
  [413, 2, 'halve'],
  [400, 1, 'drop'],
])('%s to a batch of %d: %s', (sent, size, expected) => {
  expect(verdict(sent, size)).toBe(expected);
});

it('waits longer each time, up to five minutes, and never at the same time as everyone', () => {
  expect(backoffMs(1, 1)).toBe(2_000);
  expect(backoffMs(1, 0)).toBe(1_000);
  expect(backoffMs(4, 1)).toBe(16_000);
  expect(backoffMs(40, 1)).toBe(300_000);
});

/** A queue of numbers, as the database is one of events. */
function queue(items: number[]): Outbox<number> & { readonly left: number[] } {
  const left = [...items];
  return {
    left,
    oldest: async (count) => left.slice(0, count),
    remove: async (sent) => {
      for (const one of sent) left.splice(left.indexOf(one), 1);
    },
  };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

describe('draining', () => {
  it('removes nothing before it is acknowledged, and tells it again under the same number', async () => {
    const outbox = queue([1, 2, 3]);
    const told: number[][] = [];
    const lost = async (batch: readonly number[]): Promise<Sent> => {
      told.push([...batch]);
      return told.length === 1 ? 'unreachable' : 200;
    };
    expect(await drain(outbox, lost, () => undefined)).toBe(false);
    expect(outbox.left).toEqual([1, 2, 3]);
    expect(await drain(outbox, lost, () => undefined)).toBe(true);
    expect(told).toEqual([[1, 2, 3], [1, 2, 3]]);
    expect(outbox.left).toEqual([]);
  });

  it('keeps to the size of a batch', async () => {
    const sizes: number[] = [];
    await drain(queue(numbers(BATCH_EVENTS_MAX + 1)), async (batch) => (sizes.push(batch.length), 200), () => undefined);
    expect(sizes).toEqual([BATCH_EVENTS_MAX, 1]);
  });

  it('lets nothing stand behind what will never be taken', async () => {
    const outbox = queue(numbers(300));
    const taken: number[] = [];
    const dropped: number[] = [];
    const send = async (batch: readonly number[]): Promise<Sent> => {
      if (batch.includes(137)) return 400;
      taken.push(...batch);
      return 200;
    };
    expect(await drain(outbox, send, (item) => dropped.push(item))).toBe(true);
    expect(dropped).toEqual([137]);
    expect(taken).toEqual(numbers(300).filter((n) => n !== 137));
  });

  it('what is queued while sending is sent as well', async () => {
    const outbox = queue([1]);
    const taken: number[] = [];
    await drain(
      outbox,
      async (batch) => {
        if (taken.length === 0) outbox.left.push(2);
        taken.push(...batch);
        return 200;
      },
      () => undefined,
    );
    expect(taken).toEqual([1, 2]);
  });
});
