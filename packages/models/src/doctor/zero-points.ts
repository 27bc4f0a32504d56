import { typedArrayOf } from '@frugal/checkpoint';
import type { Check, Finding } from './finding.js';

/** Layers that are looked at: the first few tell as much as all. */
const SAMPLES = 8;

/**
 * GPTQ's two versions differ by one in every zero point, and a wrong label shifts every weight by one step. Codes are
 * spread around the zero point, so that mean(code - stored) is near 1 where one was taken off, near 0 where not.
 */
export const zeroPoints: Check = async ({ checkpoint, config }) => {
  const settings = config?.quantization_config as Record<string, unknown> | undefined;
  if (settings?.quant_method !== 'gptq') return [];
  const bits = Number(settings.bits);
  if (bits !== 4 && bits !== 8 && bits !== 2) return [];
  const { entries } = checkpoint.tensors;
  const bases = [...entries.keys()]
    .filter((name) => name.endsWith('.qzeros'))
    .map((name) => name.slice(0, -'.qzeros'.length))
    .slice(0, SAMPLES);
  const means: number[] = [];
  for (const base of bases) {
    const codes = meanCode(typedArrayOf(await checkpoint.tensors.read(`${base}.qweight`), 'U32'), bits);
    const zeros = meanCode(typedArrayOf(await checkpoint.tensors.read(`${base}.qzeros`), 'U32'), bits);
    means.push(codes - zeros);
  }
  if (means.length === 0) return [];
  const mean = means.reduce((sum, value) => sum + value, 0) / means.length;
  const says = String(settings.checkpoint_format ?? 'gptq');
  const looks = mean > 0.5 ? 'gptq' : 'gptq_v2';
  const spread = Math.max(...means) - Math.min(...means);
  if (looks === says || Math.abs(mean - 0.5) < 0.2 || spread > 1) return [];
  const finding: Finding = {
    check: 'zero-points',
    level: 'error',
    what: `the zero points are those of ${looks}, config.json says ${says}`,
    evidence: `codes lie ${mean.toFixed(2)} above the stored zero points on average of ${means.length} layers; ${says} has about ${says === 'gptq' ? 1 : 0}`,
    consequence:
      'Every weight is off by one step: vLLM, GPTQModel and transformers produce nonsense such as "!!!!".',
    fix: `Set quantization_config.checkpoint_format to "${looks}" in config.json.`,
  };
  return [finding];
};

function meanCode(words: Uint32Array, bits: number): number {
  const mask = 2 ** bits - 1;
  let sum = 0;
  for (const word of words) for (let shift = 0; shift < 32; shift += bits) sum += (word >>> shift) & mask;
  return sum / ((words.length * 32) / bits);
}
