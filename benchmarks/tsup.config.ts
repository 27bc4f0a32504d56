import { existsSync, readdirSync } from 'node:fs';
import { defineConfig } from 'tsup';
import { packageBuild } from '../scripts/tsup-config.js';

// Every folder with a main.ts is one benchmark: training-step/main.ts → dist/training-step/main.js.
const names = readdirSync('.').filter((name) => existsSync(`${name}/main.ts`));

export default defineConfig({
  ...packageBuild,
  entry: Object.fromEntries(names.map((name) => [`${name}/main`, `${name}/main.ts`])),
});
