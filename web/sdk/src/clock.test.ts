import { describe, expect, it } from 'vitest';

import { behindMs, heard, merged, NEVER_SEEN, nowMs, observe, offsetMs, resume, type Reading } from './clock';

const HOUR = 3_600_000;
const at = (deviceMs: number, steadyMs = 0): Reading => ({ deviceMs, steadyMs });

describe('a device clock that is right', () => {
  it('is the time', () => {
    const clock = resume(NEVER_SEEN, at(1000));
    expect(nowMs(clock, at(5000, 4000))).toBe(5000);
    expect(behindMs(clock, at(5000, 4000))).toBe(0);
  });

  it('is corrected by what the server last said', () => {
    const clock = heard(resume(NEVER_SEEN, at(0)), at(10 * HOUR), 9 * HOUR);
    expect(nowMs(clock, at(11 * HOUR, HOUR))).toBe(10 * HOUR);
  });
});

it('how far a clock is off is told by what was known when it was asked', () => {
  expect(offsetMs(resume(NEVER_SEEN, at(0)), at(HOUR))).toBeUndefined();
  const clock = heard(resume(NEVER_SEEN, at(0)), at(10 * HOUR), 7 * HOUR);
  expect(offsetMs(clock, at(12 * HOUR, 2 * HOUR))).toBe(-3 * HOUR);
  // Set back by five hours: two more than it was ahead.
  expect(offsetMs(clock, at(7 * HOUR, 2 * HOUR))).toBe(2 * HOUR);
});

describe('a device clock that was set back', () => {
  const before = observe(resume(NEVER_SEEN, at(100 * HOUR)), at(100 * HOUR));

  it('extends nothing: the highest time seen counts', () => {
    const clock = resume(before, at(40 * HOUR));
    expect(nowMs(clock, at(40 * HOUR))).toBe(100 * HOUR);
  });

  it('does not stop time either: it goes on by the steady clock', () => {
    const clock = resume(before, at(40 * HOUR, 500));
    expect(nowMs(clock, at(41 * HOUR, 500 + HOUR))).toBe(101 * HOUR);
    const later = observe(clock, at(41 * HOUR, 500 + HOUR));
    expect(later.highestMs).toBe(101 * HOUR);
    // And over a reload, where the steady clock begins again.
    expect(nowMs(resume(later, at(41 * HOUR, 7)), at(41 * HOUR, 7))).toBe(101 * HOUR);
  });

  it('is reported by how far it stands behind', () => {
    const clock = resume(before, at(40 * HOUR));
    expect(behindMs(clock, at(40 * HOUR))).toBe(60 * HOUR);
  });

  it('is not accused for the unsteadiness of clocks', () => {
    const clock = resume(before, at(100 * HOUR));
    expect(behindMs(clock, at(100 * HOUR - 4_000))).toBe(0);
  });
});

describe('the word of the server', () => {
  it('raises the mark', () => {
    const clock = heard(resume(NEVER_SEEN, at(0)), at(5 * HOUR), 50 * HOUR);
    expect(nowMs(resume(clock, at(5 * HOUR)), at(0))).toBe(50 * HOUR);
  });

  it('alone lowers it: a clock that was once a year ahead does not lock out for that year', () => {
    const ahead = observe(resume(NEVER_SEEN, at(8760 * HOUR)), at(8760 * HOUR));
    const clock = heard(resume(ahead, at(HOUR)), at(HOUR), HOUR);
    expect(nowMs(clock, at(2 * HOUR, HOUR))).toBe(2 * HOUR);
  });

  it('that arrives late does not turn time back', () => {
    const clock = observe(resume(NEVER_SEEN, at(HOUR)), at(HOUR));
    expect(nowMs(heard(clock, at(HOUR), HOUR - 3_000), at(HOUR))).toBe(HOUR);
  });
});

describe('the marks of two tabs', () => {
  const mark = (highestMs: number, heardMs = 0) => ({ highestMs, offsetMs: 0, heardMs });

  it('the higher one holds, whoever writes last', () => {
    expect(merged(mark(5), mark(9))).toEqual(mark(9));
    expect(merged(mark(9), mark(5))).toEqual(mark(9));
  });

  it('but not over the later word of the server, which alone lowers it', () => {
    expect(merged(mark(9, 2), mark(5, 3))).toEqual(mark(5, 3));
    expect(merged(mark(5, 3), mark(9, 2))).toEqual(mark(5, 3));
  });
});
