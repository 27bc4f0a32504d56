import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** `frugal serve` with one model, in a process of its own, on a free port. */
export async function startServer(model: string): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const main = fileURLToPath(new URL('../../../packages/cli/dist/main.js', import.meta.url));
  const args = [main, 'serve', `model=${model}`, '--port', '0', '--json', '--log', 'error'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), ended.then(() => null)]);
  if (!line) throw new Error('frugal serve ended before it listened');
  const { url } = JSON.parse(String(line[0])) as { readonly url: string };
  return {
    url,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
