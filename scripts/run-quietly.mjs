import { spawnSync } from 'node:child_process';

/**
 * Runs a command to its end and returns what it printed. npm's own settings are taken out of the environment, so that
 * a new npm or pnpm does not take those of an npm that started us for the user's.
 *
 * @throws Error with the messages of the command when it fails
 */
export function runQuietly(command, args, cwd, extra = {}) {
  const entries = Object.entries(process.env).filter(
    ([name]) => !/^npm_(lifecycle|package|execpath)/i.test(name),
  );
  const env = { ...Object.fromEntries(entries), ...extra };
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    ...{ cwd, env, encoding: 'utf8', maxBuffer: 2 ** 28 },
  });
  if (status === 0) return stdout;
  throw new Error(
    `[${command} ${args.slice(0, 2).join(' ')}] failed: ${error?.message ?? `${stdout}${stderr}`.trim()}`,
  );
}
