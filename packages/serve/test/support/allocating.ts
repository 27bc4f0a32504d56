import { getHeapSpaceStatistics } from 'node:v8';
import { boundYoungGeneration } from '../../src/engine.js';

/** Prints the most bytes that V8's young generation takes while much is allocated: by `bound`, as a server bounds it. */
const spaceBytes = () =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;

if (process.argv[2] === 'bound') boundYoungGeneration();
const kept: object[] = [];
let most = 0;
for (let i = 0; i < 3_000_000; i++) {
  kept[i % 50_000] = { i };
  if (i % 10_000 === 0) most = Math.max(most, spaceBytes());
}
console.log(most);
