// What the device API says, as far as this SDK reads it. Instants are RFC 3339 in UTC. The whole
// contract is docs/api/openapi.json.

import type { ClockName } from './lease';

export interface Image {
  readonly url: string;
  readonly width: number;
  readonly height: number;
}

export interface Title {
  readonly id: string;
  readonly name: string;
  readonly description?: string;
  readonly series?: string;
  readonly partner: string;
  readonly tags?: readonly string[];
  readonly year?: number;
  readonly maturity?: string;
  readonly runtime_seconds: number;
  readonly downloadable: boolean;
  readonly available?: boolean;
  readonly images: { readonly poster?: Image; readonly backdrop?: Image };
}

export interface PlaybackContext {
  readonly title: Title;
  readonly streams: { readonly dash?: string; readonly hls?: string };
  /** By label: `video`, `audio`. */
  readonly key_ids: Readonly<Record<string, string>>;
  readonly drm: readonly { readonly system: string; readonly license_url: string }[];
  readonly grant?: string;
}

export interface CapState {
  readonly rule: string;
  readonly counts: string;
  readonly per: readonly string[];
  readonly limit: number;
  readonly used: number;
  readonly remaining: number;
  readonly window?: { readonly from?: string; readonly to?: string };
  readonly frees_at?: string;
}

export interface Eligibility {
  readonly allowed: boolean;
  readonly holding?: { readonly license: string; readonly ends_at?: string };
  readonly refusal?: Refusal;
  readonly caps: readonly CapState[];
  readonly terms: {
    readonly start_within_ms?: number;
    readonly finish_within_ms?: number;
    readonly check_in_within_ms?: number;
    readonly grace_ms?: number;
  };
  readonly would_end_at?: string;
}

export interface Contributor {
  readonly at?: string;
  readonly license?: string;
  readonly title?: string;
  readonly device?: string;
  readonly frees_at?: string;
}

export interface Finding {
  readonly code: string;
  readonly rule?: string;
  readonly message: string;
  readonly frees_at?: string;
  readonly cap?: {
    readonly counts: string;
    readonly per: readonly string[];
    readonly limit: number;
    readonly used: number;
    readonly window?: { readonly from?: string; readonly to?: string };
    readonly contributors: readonly Contributor[];
  };
}

/** A complete set of releases: all of them together let the request pass. */
export interface Remedy {
  readonly message: string;
  readonly actions: readonly {
    readonly do: 'release';
    readonly license: string;
    readonly device: string;
    readonly title: string;
  }[];
}

export interface Refusal {
  readonly at: string;
  readonly retry_at?: string;
  readonly findings: readonly Finding[];
  readonly remedies: readonly Remedy[];
}

/** RFC 9457. */
export interface Problem {
  readonly type?: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  readonly code?: string;
  readonly request_id?: string;
  readonly refusal?: Refusal;
}

/** Whether a code is the problem, or among the findings of its refusal. */
export function saysCode(problem: Problem, code: string): boolean {
  return problem.code === code || (problem.refusal?.findings.some((finding) => finding.code === code) ?? false);
}

export interface LicenseDocument {
  readonly id: string;
  readonly status: 'ready' | 'active' | 'returned' | 'revoked' | 'cancelled' | 'expired';
  readonly message?: string;
  readonly title: string;
  readonly device: string;
  readonly term: number;
  readonly ends_at?: string;
  readonly clock?: ClockName | null;
  readonly may_play_until?: string;
}

export interface LicenseAnswer {
  readonly decision: { readonly outcome: 'acquired' | 'reissued' | 'renewed'; readonly repeated: boolean };
  readonly license: LicenseDocument;
  readonly lease?: string;
  readonly grant?: string;
  readonly drm?: { readonly system: string; readonly body: string };
  readonly drm_error?: Problem;
}

export interface DeviceEntry {
  readonly device: string;
  readonly name: string;
  readonly class: string;
  readonly registered_at: string;
  readonly last_seen_at?: string;
  readonly removed_at?: string;
  readonly licenses: number;
}

export interface CheckInAnswer {
  readonly leases: readonly { readonly license: string; readonly lease: string }[];
  readonly ended: readonly string[];
}

export type SessionEventType = 'start' | 'pause' | 'resume' | 'keep_alive' | 'stop';

export interface SessionEvent {
  readonly session: string;
  readonly title: string;
  readonly license?: string;
  readonly term?: number;
  readonly type: SessionEventType;
  /** By the device's own clock, right or wrong. */
  readonly device_at: string;
  /** How far that clock stood below the highest time it had seen. */
  readonly clock_behind_ms?: number;
  readonly position_ms?: number;
}
