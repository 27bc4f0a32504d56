import { defaultBackend } from '@frugal/backend-cpu';
import { type Backend, setBackend } from '@frugal/tensor-core';

/** What an example throws that was stopped with Ctrl-C and can go on later. */
export class Interrupted extends Error {}

/** Runs an example on the best backend of this processor. Its errors end the process with 1. */
export function runExample(main: (backend: Backend) => Promise<void>): void {
  const start = async () => {
    const backend = defaultBackend();
    setBackend(backend);
    console.error(backend.description);
    await main(backend);
  };
  start().catch((error: unknown) => {
    if (error instanceof Interrupted) {
      console.error('\nStopped. Run it again to continue from here.');
      process.exitCode = 130;
      return;
    }
    // Our errors explain themselves, `[where] what: got …`; a stack is for the others.
    console.error(error instanceof Error && error.message.startsWith('[') ? error.message : error);
    process.exitCode = 1;
  });
}
