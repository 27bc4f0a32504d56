/**
 * `node half-speed.js PROGRAM ARGS`: runs `node PROGRAM ARGS` half of the time, as if this machine were half as fast. The
 * child is halted for 5 ms and goes on for 5 ms.
 */
import { spawn } from 'node:child_process';

const PERIOD = 5;

const child = spawn(process.execPath, process.argv.slice(2), { stdio: 'inherit' });
let isHalted = false;
const timer = setInterval(() => {
  isHalted = !isHalted;
  child.kill(isHalted ? 'SIGSTOP' : 'SIGCONT');
}, PERIOD);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    child.kill('SIGCONT'); // a halted process would not hear of it
    child.kill(signal);
  });
}
child.once('close', (code) => {
  clearInterval(timer);
  process.exitCode = code ?? 1;
});
