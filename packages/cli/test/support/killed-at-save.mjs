// Loaded before a program (node --import): the program is killed with kill -9 at one of its saves, which end with a rename, just
// before or just after it. Watching the files from outside would miss saves when the machine is busy.
//   KILLED_AT_SAVE  which save, from 1
//   KILLED_WHEN     before | after
import { promises } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { KILLED_AT_SAVE, KILLED_WHEN } = process.env;
const { rename } = promises;
let saves = 0;

promises.rename = async (...places) => {
  const isLast = ++saves === Number(KILLED_AT_SAVE);
  if (isLast && KILLED_WHEN === 'before') process.kill(process.pid, 'SIGKILL');
  await rename(...places);
  if (isLast) process.kill(process.pid, 'SIGKILL');
};
syncBuiltinESMExports();
