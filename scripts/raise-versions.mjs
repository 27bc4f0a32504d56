#!/usr/bin/env node
/** Raises the versions that changesets ask for, and brings the lockfile in step. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runQuietly } from './run-quietly.mjs';

const root = join(fileURLToPath(import.meta.url), '../..');
console.log(runQuietly(join(root, 'node_modules/.bin/changeset'), ['version'], root));
const pnpm = [join(root, 'scripts/boot.mjs'), 'pnpm', 'install', '--lockfile-only'];
console.log(runQuietly(process.execPath, pnpm, root));
