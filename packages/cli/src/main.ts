import { Interrupted } from './errors.js';
import { Interrupts } from './interrupts.js';
import { run } from './run.js';

const controller = new AbortController();
const interrupts = new Interrupts();
let ends = 0;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    if (signal === 'SIGINT' && interrupts.raise()) return;
    // The first Ctrl-C lets the verb finish cleanly; whoever presses it again does not want to wait.
    if (++ends > 1) process.exit(130);
    controller.abort(new Interrupted());
  });
}
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0); // the reader, such as `head`, has enough
    throw error;
  });
}
process.exitCode = await run(process.argv.slice(2), { signal: controller.signal, interrupts });
