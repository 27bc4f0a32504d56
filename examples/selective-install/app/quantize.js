// Quantises a network to 4 bits and saves it. Nothing here is built, typed or part of a workspace.
import { compress, parseRecipe } from '@frugal/compress';
import { gptqQuantization } from '@frugal/quant';
import { stepBatch } from '@frugal/tensor-core/nn';
import { load, save } from './files.js';
import { Network } from './network.js';

const network = new Network({ V: 256, C: 64, F: 256, layers: 2, seed: 1 });
const text = new TextEncoder().encode('To be, or not to be, that is the question. '.repeat(6));
const batch = stepBatch([text], network);
const before = await network.predict(batch);

const recipe = parseRecipe(`
version: 1
seed: 0
stages:
  - name: int4
    modifiers:
      - { type: quant.gptq, targets: { include: ["blocks.**"] }, format: int4-g64, activation: none }
`);
const { report, manifest } = await compress(network, recipe, {
  methods: [gptqQuantization],
  calibration: [text],
});
const after = await network.predict(batch);

await save(network, 'int4', manifest);
await load(network, 'int4');
const reread = await network.predict(batch);

const squares = (values) => values.reduce((sum, value) => sum + value * value, 0);
const error = Math.sqrt(squares(after.map((value, i) => value - before[i])) / squares(before));
console.log(`network: ${report.bytesBefore} bytes, quantised ${report.bytesAfter} bytes`);
console.log(`outputs moved by ${(100 * error).toFixed(1)} % of their length`);
console.log(
  `read again: ${reread.every((value, i) => value === after[i]) ? 'the same bits' : 'OTHER NUMBERS'}`,
);
if (!(error < 0.3) || reread.some((value, i) => value !== after[i])) process.exitCode = 1;
