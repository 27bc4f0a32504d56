import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

export interface LocalServer {
  readonly url: string;
  /** Of the process that answers; the engine is its child. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** `frugal serve` with one model, in a process of its own, on a free port. */
export async function startServer(model: string, more: readonly string[] = []): Promise<LocalServer> {
  const args = [commandFile(), 'serve', `model=${model}`, '--port', '0', '--json', '--log', 'error', ...more];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), ended.then(() => null)]);
  if (!line) throw new Error('frugal serve ended before it listened');
  const { url } = JSON.parse(String(line[0])) as { readonly url: string };
  return {
    url,
    pid: child.pid as number,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** The built program may lie in a chunk that several benchmarks share, so the command is looked for upwards. */
function commandFile(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, 'packages/cli/dist/main.js');
    if (existsSync(file)) return file;
  }
  throw new Error('the command is not built: npm run build');
}
