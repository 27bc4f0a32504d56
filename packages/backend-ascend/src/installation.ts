import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where CANN lies. */
export interface Installation {
  /** The folder that set_env.sh exports as ASCEND_HOME_PATH. */
  readonly home: string;
  /** Its folder with libascendcl.so. */
  readonly libraries: string;
  /** Whether set_env.sh ran before this process started: the ops package is found by what it exports. */
  readonly environment: boolean;
}

/** Folders to look in, best first: what is exported, then where CANN ≥ 8.5 and older ones install themselves. */
export function candidateFolders(environment: NodeJS.ProcessEnv = process.env): readonly string[] {
  const exported = [environment.ASCEND_HOME_PATH, environment.ASCEND_TOOLKIT_HOME];
  const usual = ['/usr/local/Ascend', join(homedir(), 'Ascend')].flatMap((root) => [
    join(root, 'cann'),
    join(root, 'ascend-toolkit', 'latest'),
  ]);
  return [...exported.filter((folder) => folder !== undefined && folder !== ''), ...usual] as string[];
}

/** Null when none of {@link candidateFolders} has CANN. */
export function findInstallation(environment: NodeJS.ProcessEnv = process.env): Installation | null {
  for (const home of candidateFolders(environment)) {
    const libraries = join(home, 'lib64');
    if (!existsSync(join(libraries, 'libascendcl.so'))) continue;
    return { home, libraries, environment: Boolean(environment.ASCEND_OPP_PATH) };
  }
  return null;
}
