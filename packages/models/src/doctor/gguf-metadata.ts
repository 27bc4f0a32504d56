import type { Check } from './finding.js';

/** What GGUF files leave out that readers then guess. */
export const ggufMetadata: Check = ({ checkpoint }) => {
  if (checkpoint.kind !== 'gguf') return [];
  const { metadata } = checkpoint.tensors;
  if (metadata.get('tokenizer.ggml.model') !== 'gpt2' || metadata.has('tokenizer.ggml.pre')) return [];
  return [
    {
      check: 'pre-tokenizer',
      level: 'warning',
      what: 'the file does not say how text is cut before merging (tokenizer.ggml.pre)',
      evidence: 'a byte-level vocabulary without tokenizer.ggml.pre: written before llama.cpp knew of it',
      consequence:
        "llama.cpp cuts as GPT-2's first files did: numbers and contractions get other tokens than in training.",
      fix: 'Convert again with a current tool.',
    },
  ];
};
