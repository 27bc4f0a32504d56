import { spawnSync } from 'node:child_process';

/** Runs a command to its end and returns what it printed. @throws Error with its messages when it fails */
export function run(command: string, args: readonly string[], cwd: string): string {
  // npm hands its own settings to the scripts that it runs: a new npm or pnpm must not take them for the user's.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`[${command} ${args[0]}] failed: ${error?.message ?? (stderr.trim() || stdout.trim())}`);
}
