import { Interrupted } from './errors.js';
import { run } from './run.js';

const controller = new AbortController();
let interrupts = 0;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    // The first Ctrl-C lets the verb finish cleanly; whoever presses it again does not want to wait.
    if (++interrupts > 1) process.exit(130);
    controller.abort(new Interrupted());
  });
}
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0); // the reader, such as `head`, has enough
    throw error;
  });
}
process.exitCode = await run(process.argv.slice(2), { signal: controller.signal });
