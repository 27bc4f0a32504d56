import type { Check, Finding } from './finding.js';

const PACKED = /\.(qweight|weight_packed|SCB|weight\.absmax|weight_scale_inv)$/;

/** Whether `quantization_config` and the tensors tell the same story. */
export const quantizationLabel: Check = ({ checkpoint, config }) => {
  if (checkpoint.kind === 'gguf' || !config) return [];
  const { entries } = checkpoint.tensors;
  const packed = [...entries.keys()].filter((name) => PACKED.test(name));
  const settings = config.quantization_config as Record<string, unknown> | null | undefined;
  const finding = (what: string, evidence: string, consequence: string, fix: string): Finding[] => [
    { check: 'quantization-label', level: 'error', what, evidence, consequence, fix },
  ];
  if (!settings && packed.length > 0) {
    return finding(
      'there are quantised tensors, and config.json has no quantization_config',
      `${packed.length} such as ${packed[0]}`,
      'transformers fills these layers with random numbers and only warns.',
      'Take quantization_config from the original repository (for GPTQ and AWQ also in quantize_config.json).',
    );
  }
  const hasScales = [...entries.keys()].some((name) => name.endsWith('.weight_scale'));
  if (settings && packed.length === 0 && !hasScales) {
    return finding(
      `config.json says ${String(settings.quant_method)}, and all tensors are plain numbers`,
      `${entries.size} tensors, none packed`,
      'transformers and vLLM look for packed layers and fail, or leave them random.',
      'Remove quantization_config from config.json.',
    );
  }
  return settings ? shapeProblems(settings, entries, finding) : [];
};

/** GPTQ packs along the inputs, AWQ along the outputs: the shape of `qweight` beside `scales` tells which, and the bits. */
function shapeProblems(
  settings: Record<string, unknown>,
  entries: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  finding: (what: string, evidence: string, consequence: string, fix: string) => Finding[],
): Finding[] {
  const name = [...entries.keys()].find((key) => key.endsWith('.qweight'));
  if (!name) return [];
  const base = name.slice(0, -'.qweight'.length);
  const [first = 0, second = 0] = entries.get(name)?.shape ?? [];
  const [groups = 0, rows = 0] = entries.get(`${base}.scales`)?.shape ?? [];
  const groupIndex = entries.get(`${base}.g_idx`)?.shape[0];
  const looks = second === rows ? 'gptq' : second * 8 === rows ? 'awq' : 'neither';
  const says = String(settings.quant_method);
  if (looks !== 'neither' && (says === 'gptq' || says === 'awq') && looks !== says) {
    return finding(
      `the tensors are packed as ${looks}, config.json says ${says}`,
      `${name} is [${first}, ${second}], scales are [${groups}, ${rows}]`,
      'Tools fail, or read codes in the wrong order and answer nonsense.',
      `Set quantization_config.quant_method to "${looks}".`,
    );
  }
  const columns = groupIndex ?? Number(settings.group_size) * groups;
  const bits = (first * 32) / columns;
  if (looks === 'gptq' && columns > 0 && Number.isInteger(bits) && bits !== Number(settings.bits)) {
    return finding(
      `the tensors have ${bits} bits, config.json says ${String(settings.bits)}`,
      `${name} is [${first}, ${second}] for ${columns} columns`,
      'Tools fail, or read every code from the wrong bits.',
      `Set quantization_config.bits to ${bits}.`,
    );
  }
  return [];
}
