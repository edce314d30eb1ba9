// Clocks in plain words, for people. Says nothing that lease.ts has not decided.

import type { ClockName, Permission } from './lease';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Two units while they matter: `12 days`, `3 days 4 hours`, `5 hours 10 minutes`, `40 seconds`. */
export function durationInWords(ms: number): string {
  const left = Math.max(0, ms);
  if (left < 2 * MINUTE_MS) return many(Math.ceil(left / SECOND_MS), 'second');
  if (left < HOUR_MS) return many(Math.floor(left / MINUTE_MS), 'minute');
  if (left < DAY_MS) return both(left, HOUR_MS, 'hour', MINUTE_MS, 'minute', 6);
  return both(left, DAY_MS, 'day', HOUR_MS, 'hour', 7);
}

/** The smaller unit is said as long as there are few of the larger one. */
function both(ms: number, large: number, name: string, small: number, part: string, few: number): string {
  const count = Math.floor(ms / large);
  const rest = Math.floor((ms % large) / small);
  return count < few && rest > 0 ? `${many(count, name)} ${many(rest, part)}` : many(count, name);
}

/** What governs a copy now, as a sentence without a full stop. */
export function permissionInWords(permission: Permission, nowMs: number): string {
  switch (permission.may) {
    case 'wait':
      return `Can be played in ${durationInWords(permission.fromMs - nowMs)}`;
    case 'not':
      return ENDED[permission.ended.clock];
    case 'play': {
      if (!permission.end) return 'Yours to keep for as long as it is downloaded';
      const left = durationInWords(permission.end.atMs - nowMs);
      return permission.inGrace
        ? `Renewal is due: plays ${left} more until you are online`
        : RUNNING[permission.end.clock](left);
    }
  }
}

const RUNNING: Record<ClockName, (left: string) => string> = {
  start: (left) => `Start watching within ${left}`,
  finish: (left) => `Finish watching within ${left}`,
  check_in: (left) => `Go online within ${left} to keep it`,
  hard_end: (left) => `Leaves in ${left}`,
};

const ENDED: Record<ClockName, string> = {
  start: 'Was not started in time',
  finish: 'The time to finish watching is over',
  check_in: 'Was offline for too long: go online to bring it back',
  hard_end: 'Is no longer available',
};

function many(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
