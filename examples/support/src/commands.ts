import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './files.js';

export interface CommandOptions {
  /** Added to the environment of this process. */
  readonly environment?: NodeJS.ProcessEnv;
}

/** The `frugal` command of this repository, as arguments of node. */
export const frugal: readonly string[] = [join(root, 'packages/cli/bin/frugal.js')];

/**
 * What a command printed. Its errors and progress go to the terminal, unless it fails.
 * @throws Error with the last lines that it wrote
 */
export function runCommand(
  command: string,
  args: readonly string[],
  { environment = {} }: CommandOptions = {},
): Promise<string> {
  const child = spawn(command, args, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [output, errors] = ['', ''];
  child.stdout.on('data', (text: Buffer) => {
    output += text;
  });
  child.stderr.on('data', (text: Buffer) => {
    errors += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(output);
      const last = `${output}\n${errors}`.trim().split('\n').slice(-8).join('\n');
      reject(new Error(`[${command} ${args.join(' ')}] ended with ${code ?? signal}:\n${last}`));
    });
  });
}

/** Runs `frugal ARGS` in a process of its own. */
export function runFrugal(args: readonly string[], options?: CommandOptions): Promise<string> {
  return runCommand(process.execPath, [...frugal, ...args], options);
}
