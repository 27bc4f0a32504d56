import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** `hello-RANK-ID`: a process that wants to take part. */
const HELLO = /^hello-(\d+)-([\w-]+)$/;

export interface SessionPlan {
  readonly folder: string;
  readonly rank: number;
  readonly size: number;
  /** Calls `look` again and again until it gives something. */
  readonly waitFor: <T>(what: string, look: () => Promise<T | null>) => Promise<T>;
}

interface Session {
  readonly id: string;
  /** By rank, the ids that were found. */
  readonly members: readonly string[];
}

/**
 * Lets all ranks agree on a subfolder that no earlier run has used, though any of them may start first, and files of
 * processes that are gone may lie about: rank 0 answers the newest hello of each rank, until all confirm. Returns its path.
 */
export async function openSession(plan: SessionPlan): Promise<string> {
  const { folder, rank } = plan;
  await mkdir(folder, { recursive: true });
  return rank === 0 ? convene(plan) : join(folder, await attend(plan, randomUUID()));
}

async function convene({ folder, size, waitFor }: SessionPlan): Promise<string> {
  for (const name of await readdir(folder)) {
    if (name.startsWith('session-')) await rm(join(folder, name), { recursive: true, force: true });
  }
  let session: Session = { id: '', members: [] };
  const others = Array.from({ length: size - 1 }, (_, i) => i + 1);
  await waitFor('another rank', async () => {
    const found = await newestHellos(folder);
    if (others.some((rank) => !found.has(rank))) return null;
    const members = ['', ...others.map((rank) => found.get(rank) as string)];
    if (session.id === '' || members.join() !== session.members.join()) {
      session = { id: `session-${randomUUID()}`, members };
      await mkdir(join(folder, session.id));
      await writeWhole(join(folder, 'session.json'), JSON.stringify(session));
    }
    const confirmed = await readdir(join(folder, session.id));
    return others.every((rank) => confirmed.includes(`here-${rank}`)) ? session : null;
  });
  const left = (await readdir(folder)).filter(
    (name) => HELLO.test(name) || (name.startsWith('session-') && name !== session.id),
  );
  for (const name of left) await rm(join(folder, name), { recursive: true, force: true });
  await writeWhole(join(folder, session.id, 'begin'), '');
  return join(folder, session.id);
}

async function attend({ folder, rank, waitFor }: SessionPlan, own: string): Promise<string> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(`hello-${rank}-`)) await rm(join(folder, name), { force: true });
  }
  await writeWhole(join(folder, `hello-${rank}-${own}`), '');
  let confirmed = '';
  return waitFor('rank 0', async () => {
    const text = await readFile(join(folder, 'session.json'), 'utf8').catch(() => null);
    if (text === null) return null;
    const { id, members } = JSON.parse(text) as Session;
    if (members[rank] !== own) return null;
    if (confirmed !== id) await writeWhole(join(folder, id, `here-${rank}`), '');
    confirmed = id;
    return (await readdir(join(folder, id))).includes('begin') ? id : null;
  });
}

async function newestHellos(folder: string): Promise<Map<number, string>> {
  const newest = new Map<number, { readonly id: string; readonly time: number }>();
  for (const name of await readdir(folder)) {
    const match = HELLO.exec(name);
    if (!match) continue;
    const time = (await stat(join(folder, name)).catch(() => null))?.mtimeMs;
    const rank = Number(match[1]);
    if (time !== undefined && time >= (newest.get(rank)?.time ?? 0)) newest.set(rank, { id: match[2], time });
  }
  return new Map([...newest].map(([rank, { id }]) => [rank, id]));
}

/** Others see the file whole or not at all. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.writing`;
  await writeFile(temporary, content);
  await rename(temporary, path);
}
