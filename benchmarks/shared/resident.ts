import { spawnSync } from 'node:child_process';

export interface ProgramRun {
  readonly seconds: number;
  /** The most that the process ever had resident. */
  readonly residentBytes: number;
}

const REPORT = 'process.on("exit",()=>process.stderr.write("\\nmaxRSS "+process.resourceUsage().maxRSS))';

/** Runs a program for Node in a process of its own to its end. @throws Error with what it said when it fails */
export function runResident(program: string, args: readonly string[]): ProgramRun {
  const start = performance.now();
  const { stderr, status } = spawnSync(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(REPORT)}`, program, ...args],
    { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'], maxBuffer: 2 ** 28 },
  );
  const seconds = (performance.now() - start) / 1000;
  const kibibytes = Number(/maxRSS (\d+)$/.exec(stderr)?.[1]);
  if (status !== 0 || !kibibytes) throw new Error(`${program} ${args.join(' ')} failed: ${stderr}`);
  return { seconds, residentBytes: kibibytes * 1024 };
}
