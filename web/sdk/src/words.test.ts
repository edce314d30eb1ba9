import { expect, it } from 'vitest';

import { durationInWords, permissionInWords } from './words';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

it.each([
  [-5, '0 seconds'],
  [1_000, '1 second'],
  [90_000, '90 seconds'],
  [2 * MINUTE, '2 minutes'],
  [59 * MINUTE + 59_000, '59 minutes'],
  [HOUR, '1 hour'],
  [HOUR + 10 * MINUTE, '1 hour 10 minutes'],
  [20 * HOUR + 10 * MINUTE, '20 hours'],
  [DAY, '1 day'],
  [6 * DAY + 23 * HOUR, '6 days 23 hours'],
  [29 * DAY + 23 * HOUR, '29 days'],
])('%d ms is %s', (ms, words) => {
  expect(durationInWords(ms)).toBe(words);
});

it('names the clock that governs', () => {
  const end = (clock: 'start' | 'finish' | 'check_in' | 'hard_end') => ({ clock, atMs: 2 * DAY });
  expect(permissionInWords({ may: 'play', end: end('start'), inGrace: false }, 0)).toBe('Start watching within 2 days');
  expect(permissionInWords({ may: 'play', end: end('finish'), inGrace: false }, 0)).toBe('Finish watching within 2 days');
  expect(permissionInWords({ may: 'play', end: end('finish'), inGrace: true }, 0)).toMatch(/^Renewal is due/);
  expect(permissionInWords({ may: 'not', ended: end('check_in') }, 0)).toMatch(/^Was offline for too long/);
  expect(permissionInWords({ may: 'wait', fromMs: HOUR }, 0)).toBe('Can be played in 1 hour');
});
