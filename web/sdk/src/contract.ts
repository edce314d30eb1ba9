// What the device API says, by the names that the SDK uses. The shapes are the document's; by hand is
// only what it cannot say.

import type { components } from './openapi';

type Schemas = components['schemas'];

/** As the door hands it on: what the document lets be `null` is absent. */
export type Said<T> = T extends null
  ? never
  : T extends readonly (infer E)[]
    ? readonly Said<E>[]
    : T extends object
      ? { readonly [K in keyof T]: Said<T[K]> }
      : T;

/** Only the catalogue says whether a title is available. */
export type Title = Said<Schemas['Title'] & Partial<Schemas['CatalogueEntry']>>;
export type PlaybackContext = Said<Schemas['PlaybackContextAnswer']>;
export type Eligibility = Said<Schemas['EligibilityAnswer']>;

export type CapState = Said<Schemas['CapState']>;

export type Problem = Said<Schemas['Problem']>;
export type Finding = Said<Schemas['Finding']>;
export type Remedy = Said<Schemas['Remedy']>;

export type LicenseDocument = Said<Schemas['License']>;
export type LicenseAnswer = Said<Schemas['HeldAnswer']>;
export type DeviceEntry = Said<Schemas['Device']>;
export type Holding = Said<Schemas['Holding']>;

export type QueuedEvent = Said<Schemas['SessionEvent']>;
/** The database numbers it. */
export type SessionEvent = Omit<QueuedEvent, 'sequence'>;
export type SessionEventType = SessionEvent['type'];

/** What the policy wants a member to hear of before it is used up, in the server's words. */
export function warnings({ caps }: { readonly caps: readonly CapState[] }): readonly string[] {
  return caps.filter((cap) => cap.warns).map((cap) => cap.message);
}

/** Whether a code is the problem, or among the findings of its refusal. */
export function saysCode(problem: Problem, code: string): boolean {
  return problem.code === code || (problem.refusal?.findings.some((finding) => finding.code === code) ?? false);
}
