// What time it is for a lease. A device's clock is the member's to set, so it may bring a clock
// nearer but extends nothing: below the highest time ever seen, that time counts, and goes on by the
// page's own steady clock. No Date.now here: readings are handed in.

/** What the machine says, raw. */
export interface Reading {
  readonly deviceMs: number;
  /** Runs steadily from an arbitrary start and is of no use after a reload. */
  readonly steadyMs: number;
}

/** What is kept between runs. */
export interface ClockMark {
  /** The highest time seen, by the server's word or by the corrected device clock. */
  readonly highestMs: number;
  /** Server minus device, as last heard. */
  readonly offsetMs: number;
  /** The server's time when it was last heard; 0 for never. */
  readonly heardMs: number;
}

export interface Clock extends ClockMark {
  /** The steady reading that belongs to `highestMs`. */
  readonly anchorMs: number;
}

export const NEVER_SEEN: ClockMark = { highestMs: 0, offsetMs: 0, heardMs: 0 };

/** An answer may be this late, and a clock this unsteady, without anybody having set it back. */
const TOLERANCE_MS = 5_000;

export function resume(mark: ClockMark, reading: Reading): Clock {
  return { ...mark, anchorMs: reading.steadyMs };
}

/** Of two tabs' marks the one that heard the server later holds; of two that heard the same, the higher. */
export function merged(one: ClockMark, other: ClockMark): ClockMark {
  const first = one.heardMs - other.heardMs || one.highestMs - other.highestMs;
  const { highestMs, offsetMs, heardMs } = first >= 0 ? one : other;
  return { highestMs, offsetMs, heardMs };
}

export function nowMs(clock: Clock, reading: Reading): number {
  return Math.max(reading.deviceMs + clock.offsetMs, floorMs(clock, reading));
}

/** Raises the mark to now, to be stored. */
export function observe(clock: Clock, reading: Reading): Clock {
  return { ...clock, highestMs: nowMs(clock, reading), anchorMs: reading.steadyMs };
}

/**
 * The server said its time. It alone may lower the mark: a clock that was once a year ahead must not
 * lock the member out for that year.
 */
export function heard(clock: Clock, reading: Reading, serverMs: number): Clock {
  const floor = floorMs(clock, reading);
  const highestMs = serverMs < floor - TOLERANCE_MS ? serverMs : Math.max(floor, serverMs);
  const offsetMs = serverMs - reading.deviceMs;
  return { highestMs, offsetMs, heardMs: serverMs, anchorMs: reading.steadyMs };
}

/** How far that time is ahead of the device's clock; nobody knows who never heard the server. */
export function offsetMs(clock: Clock, reading: Reading): number | undefined {
  return clock.heardMs === 0 ? undefined : Math.round(nowMs(clock, reading) - reading.deviceMs);
}

/** How far the device's clock stands below the mark; 0 when it was not set back. */
export function behindMs(clock: Clock, reading: Reading): number {
  const behind = floorMs(clock, reading) - (reading.deviceMs + clock.offsetMs);
  return behind > TOLERANCE_MS ? Math.round(behind) : 0;
}

function floorMs(clock: Clock, reading: Reading): number {
  return clock.highestMs + Math.max(0, reading.steadyMs - clock.anchorMs);
}
