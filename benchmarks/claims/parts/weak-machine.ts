import { MEMORY_BYTES, measureWeakMachine, type WeakMachine } from '../measurements/weak-machine.js';
import { commandOf, type Part } from '../part.js';

const name = 'weak-machine';
/** New tokens per second that nobody reads faster. */
const READING = 10;

export const weakMachine: Part<WeakMachine> = {
  name,
  needsModel: false,
  packages: ['tensor-core', 'backend-cpu', 'models', 'tokenizers', 'checkpoint'],
  measure: measureWeakMachine,
  claims: ({ limits, runs }) =>
    runs.map((run) => {
      const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
      const fits = run.peakBytes <= MEMORY_BYTES;
      return {
        claim: 'A small model on weak hardware',
        measure: `${run.name}: new tokens per second of one stream`,
        promised: '1 core, AVX2, 512 MB',
        value: run.decodeTokensPerSecond,
        unit: 'tokens/s',
        verdict:
          fits && run.decodeTokensPerSecond >= READING ? 'holds' : fits ? 'holds in part' : 'does not hold',
        note: `${limits.join(', ')}; peak ${megabytes(run.peakBytes)} resident of ${megabytes(MEMORY_BYTES)}, opened in ${run.openSeconds.toFixed(2)} s, prompt ${run.prefillTokensPerSecond.toFixed(0)} tokens/s`,
        command: commandOf(name),
      };
    }),
};
