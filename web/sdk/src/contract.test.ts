import { expect, it } from 'vitest';

import { warnings, type CapState } from './contract';

const cap = (message: string, warns: boolean): CapState => ({
  rule: 'r',
  message,
  counts: 'acquisitions',
  per: [],
  limit: 2,
  raised: 0,
  used: 1,
  remaining: 1,
  warns,
});

it('a member hears of the limits that the policy warns of', () => {
  const caps = [cap('Room for 12 more downloads.', false), cap('1 more download before 3 March.', true)];
  expect(warnings({ caps })).toEqual(['1 more download before 3 March.']);
  expect(warnings({ caps: [] })).toEqual([]);
});
