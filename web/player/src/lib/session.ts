// Signing in with the demo's identity provider. A real app brings its own; the SDK only asks for a
// token.

export interface Member {
  readonly id: string;
  readonly name: string;
  readonly plan: string;
  readonly territory?: string;
  readonly description?: string;
}

export interface Session {
  readonly member: Member;
  readonly token: string;
}

const KEY = 'carnet-session';

/** The session of the last visit: the page opens signed in, with or without a network. */
export function storedSession(): Session | undefined {
  try {
    return (JSON.parse(localStorage.getItem(KEY) ?? 'null') as Session | null) ?? undefined;
  } catch {
    return undefined;
  }
}

export function storeSession(session: Session | undefined): void {
  if (session) localStorage.setItem(KEY, JSON.stringify(session));
  else localStorage.removeItem(KEY);
}

export async function demoMembers(): Promise<readonly Member[]> {
  const answer = await fetch('/demo/members');
  if (!answer.ok) throw new Error(`the identity provider answered with status ${answer.status}`);
  return (await answer.json()) as readonly Member[];
}

export async function signIn(member: Member): Promise<Session> {
  const answer = await fetch('/demo/token', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ member: member.id }),
  });
  if (!answer.ok) throw new Error(`the identity provider answered with status ${answer.status}`);
  const { access_token: token } = (await answer.json()) as { access_token: string };
  return { member, token };
}
