// The real binary, in demo mode, on a directory of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const BINARY = resolve(process.env.CARNET_BIN ?? join(import.meta.dirname, '../../target/debug/carnet'));
const POLICY = join(import.meta.dirname, 'policy');
const READY_MS = 30_000;

/** A port that was free a moment ago: a browser keeps its downloads by origin, so it must stay. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

export async function createCarnet({ policy = POLICY } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'carnet-e2e-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let child;

  async function start() {
    const listen = ['--data-dir', directory, '--listen', `127.0.0.1:${port}`];
    const rules = policy ? ['--policy', policy] : [];
    child = spawn(BINARY, ['demo', ...listen, ...rules], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    const ready = new Promise((resolve, reject) => {
      const listenTo = (chunk) => {
        said += chunk;
        if (said.includes('player: http')) resolve();
      };
      child.stdout.on('data', listenTo);
      child.stderr.on('data', listenTo);
      child.once('error', (error) => reject(new Error(`\`${BINARY}\` does not start: ${error.message}`)));
      child.once('exit', (code) => reject(new Error(`\`${BINARY}\` ended with ${code}:\n${said}`)));
      setTimeout(() => reject(new Error(`\`${BINARY}\` did not get ready:\n${said}`)), READY_MS).unref();
    });
    await ready;
  }

  /** Without a warning, as a power cut would. */
  async function kill() {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** Takes connections and answers nothing, as a train's network does. */
  function freeze() {
    child.kill('SIGSTOP');
  }

  async function operator(path) {
    const token = await fetch(`${url}/demo/operator-token`, { method: 'POST' });
    const { access_token: bearer } = await token.json();
    const answer = await fetch(`${url}/v1/operator${path}`, { headers: { authorization: `Bearer ${bearer}` } });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  return {
    url,
    start,
    kill,
    freeze,
    timeline: async (member) => (await operator(`/members/${member}/timeline?limit=1000`)).events,
    member: (member) => operator(`/members/${member}`),
    viewing: (member) => operator(`/members/${member}/viewing`),
    async remove() {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
