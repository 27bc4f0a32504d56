import { readFileSync } from 'node:fs';

/** Of this package, from its sources as well as from its build. */
export const packageFolder = new URL('..', import.meta.url);

const manifest = JSON.parse(readFileSync(new URL('package.json', packageFolder), 'utf8')) as {
  version: string;
};

/** Of this package. */
export const version = manifest.version;
