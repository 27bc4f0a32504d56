import { type EightBit, measureEightBit } from '../measurements/eight-bit.js';
import { commandOf, type Part } from '../part.js';

const name = 'eight-bit';
/** Growth of the loss, in percent, that counts as none to speak of. */
const SUBSTANTIAL = 1;

const LABELS: Readonly<Record<string, string>> = {
  q8_0: 'weights and activations in 8 bits, a scale per 32 (q8_0)',
  w8a8: 'W8A8, a scale per channel and token, after SmoothQuant',
  int8: 'the same without data',
};

export const eightBit: Part<EightBit> = {
  name,
  needsModel: true,
  packages: ['tensor-core', 'backend-cpu', 'models', 'compress', 'quant'],
  measure: measureEightBit,
  claims: ({ dense, documents, packed }) =>
    packed.map(({ preset, loss, divergence }) => {
      const percent = (value: number) => (100 * value) / dense;
      const [low, high] = [percent(loss.low), percent(loss.high)];
      return {
        claim: '8 bits without substantial loss',
        measure: `SmolLM2-135M, ${LABELS[preset]}: bits/byte against bf16`,
        promised: `< ${SUBSTANTIAL} % (our limit)`,
        value: percent(loss.difference),
        unit: '%',
        interval: [low, high],
        verdict: high <= SUBSTANTIAL ? 'holds' : low <= SUBSTANTIAL ? 'holds in part' : 'does not hold',
        note: `${documents} held-out speeches; KL ${divergence.kl.toFixed(4)} nats, first choice equal at ${(100 * divergence.sameTop).toFixed(1)} %`,
        command: commandOf(name),
      };
    }),
};
