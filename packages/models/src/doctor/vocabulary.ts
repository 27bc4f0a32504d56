import type { Check, Finding } from './finding.js';

/** Whether every id of the tokenizer has a row in the embedding, and the other way round. GGUF files have a stricter rule. */
export const vocabulary: Check = ({ checkpoint, model, tokenizer }) => {
  if (checkpoint.kind === 'gguf' || !model || !tokenizer) return [];
  const [ids, rows] = [tokenizer.vocabularySize, model.vocabularySize];
  if (ids > rows) {
    return [
      {
        check: 'vocabulary',
        level: 'error',
        what: `the tokenizer has ${ids} ids, the model embeds ${rows}: some texts will fail`,
        evidence: `first id without a row: ${rows} (${tokenizer.tokenOf(rows) ?? 'no token'})`,
        consequence: 'transformers fails with an index error, llama.cpp refuses the file.',
        fix: 'Resize the embedding, or remove the added tokens from tokenizer.json.',
      },
    ];
  }
  if (ids === rows) return [];
  return [
    {
      check: 'padded-vocabulary',
      level: 'ok',
      what: `the embedding has ${rows - ids} rows more than the tokenizer has ids`,
      evidence: `${rows} rows, ${ids} ids`,
      consequence: 'Usual padding. Sampling at high temperature may give ids without text.',
    },
  ];
};

/** Ids of special tokens that config.json, generation_config.json and the tokenizer say differently. */
export const tokenIds: Check = async ({ checkpoint, config, tokenizer }) => {
  if (!tokenizer || !config) return [];
  const { bosId, eosIds } = tokenizer;
  const isGguf = checkpoint.kind === 'gguf';
  const findings: Finding[] = [];
  if (eosIds.length === 0) {
    findings.push({
      check: 'token-ids',
      level: 'warning',
      what: 'the tokenizer has no end-of-text token: texts never end by themselves',
      consequence: 'Every tool generates until its limit.',
      fix: isGguf
        ? 'Set tokenizer.ggml.eos_token_id.'
        : 'Set eos_token in tokenizer_config.json or eos_token_id in generation_config.json.',
    });
  }
  const known = { bos_token_id: bosId === undefined ? [] : [bosId], eos_token_id: [...eosIds] };
  for (const [field, ids] of Object.entries(known)) {
    const said = idsOf(config[field]);
    if (said.length === 0 || said.every((id) => ids.includes(id))) continue;
    findings.push({
      check: 'token-ids',
      level: 'warning',
      what: `config.json says ${field} ${said.join(', ')}, the tokenizer says ${ids.join(', ') || 'none'}`,
      consequence:
        'Tools that read config.json start or stop at other tokens than tools that read the tokenizer.',
      fix: `Make ${field} in config.json and generation_config.json agree with the tokenizer.`,
    });
  }
  return [...findings, ...(await generationEnds(checkpoint, idsOf(config.eos_token_id)))];
};

/** generation_config.json wins over config.json: an end that only the latter has is lost. */
async function generationEnds(
  checkpoint: Parameters<Check>[0]['checkpoint'],
  configEnds: readonly number[],
): Promise<Finding[]> {
  if (!checkpoint.files.includes('generation_config.json') || configEnds.length === 0) return [];
  const generation = (await checkpoint.readJson('generation_config.json')) as Record<string, unknown>;
  const ends = idsOf(generation.eos_token_id);
  const lost = configEnds.filter((id) => !ends.includes(id));
  if (lost.length === 0) return [];
  return [
    {
      check: 'generation-eos',
      level: 'warning',
      what: `generation_config.json lacks the end-of-text ids ${lost.join(', ')} of config.json`,
      evidence: `config.json: ${configEnds.join(', ')}; generation_config.json: ${ends.join(', ') || 'none'}`,
      consequence:
        'transformers and vLLM read generation_config.json alone: texts run on after these tokens.',
      fix: `Set eos_token_id to [${[...new Set([...ends, ...configEnds])].join(', ')}] in generation_config.json.`,
    },
  ];
}

function idsOf(value: unknown): number[] {
  return [value].flat().filter((id): id is number => typeof id === 'number');
}
