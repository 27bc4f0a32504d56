import type { Check, Finding } from './finding.js';
import { GgufFields } from './gguf-fields.js';

/**
 * llama.cpp takes the number of tokens for the rows of embedding and head: where a directory may have more rows, a GGUF
 * file needs a token for each of them.
 */
export const ggufVocabulary: Check = (patient) => {
  const { checkpoint } = patient;
  const fields = new GgufFields(patient);
  const { tokens } = fields;
  const rows = checkpoint.tensors.entries.get('token_embd.weight')?.shape[0];
  if (checkpoint.kind !== 'gguf' || rows === undefined || !tokens) return [];
  const findings: Finding[] = [];
  if (rows !== tokens.length) {
    findings.push({
      check: rows > tokens.length ? 'padded-vocabulary' : 'vocabulary',
      level: 'error',
      what: `token_embd.weight has ${rows} rows, the tokenizer ${tokens.length} tokens`,
      evidence:
        rows > tokens.length
          ? `rows without a token from ${tokens.length} on`
          : `first token without a row: ${rows} (${String(tokens[rows])})`,
      consequence: 'llama.cpp refuses the file: token_embd.weight has the wrong shape.',
      fix:
        rows > tokens.length
          ? `Fill tokenizer.ggml.tokens with unused tokens up to ${rows}: frugal convert does so from the directory.`
          : 'Convert again with the tokenizer that belongs to these weights.',
    });
  }
  const said = fields.ofLayer('vocab_size', 0);
  if (said !== undefined && said !== rows) {
    findings.push({
      check: 'vocabulary',
      level: 'warning',
      what: `${fields.nameOf('vocab_size')} says ${said}, token_embd.weight has ${rows} rows`,
      consequence: 'Tools that size the logits by the metadata read beside them.',
      fix: `Set ${fields.nameOf('vocab_size')} to ${rows}.`,
    });
  }
  return findings;
};
