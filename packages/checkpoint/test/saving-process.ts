/**
 * A process that saves and is made to fail; run by the tests of crashes and full disks.
 * Arguments: `loop PATH FIRST` saves versions from FIRST on for ever, printing each that is done;
 * `die PATH VERSION STEP` kills itself at a step of the save; `once PATH VERSION` saves once and prints the error.
 */
import { writeCheckpoint } from '../src/index.js';
import { contentsOfVersion } from './version-contents.js';

const [mode, path, version, step] = process.argv.slice(2);
const options = { force: true, maxShardBytes: 200_000 };

if (mode === 'loop') {
  try {
    for (let next = Number(version); ; next++) {
      await writeCheckpoint(path, contentsOfVersion(next), options);
      process.stdout.write(`${next}\n`);
    }
  } catch (error) {
    process.stdout.write(`${(error as Error).message}\n`);
  }
} else if (mode === 'die') {
  await writeCheckpoint(path, contentsOfVersion(Number(version)), {
    ...options,
    onStep: (reached) => {
      if (reached === step) process.kill(process.pid, 'SIGKILL');
    },
  });
} else {
  try {
    await writeCheckpoint(path, contentsOfVersion(Number(version)), options);
    process.stdout.write('saved\n');
  } catch (error) {
    process.stdout.write(`${(error as Error).name}: ${(error as Error).message}\n`);
  }
}
