import type { TokenizerDefinition } from '../definition.js';
import type { Vocabulary } from '../vocabulary.js';
import { addedTokenJson } from './added-token.js';
import type { JsonObject, JsonValue } from './json.js';

/** The form of tokenizer.json that Hugging Face's library reads. */
export function tokenizerJson(definition: TokenizerDefinition): JsonObject {
  const { normalizer, preTokenizer, postProcessor, decoder, addedTokens } = definition;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens.map(addedTokenJson),
    normalizer,
    pre_tokenizer: preTokenizer,
    post_processor: postProcessor,
    decoder,
    model: modelJson(definition),
  };
}

function modelJson({ modelType, model, vocabulary, merges, scores }: TokenizerDefinition): JsonObject {
  const written: JsonObject = { ...model, type: modelType };
  if (modelType === 'Unigram') {
    written.vocab = Array.from(vocabulary.entries(), ([id, token]) => [token, scores?.[id] ?? 0]);
  } else {
    written.vocab = Object.fromEntries(Array.from(vocabulary.entries(), ([id, token]) => [token, id]));
  }
  if (modelType === 'BPE') written.merges = mergesJson(vocabulary, merges);
  return written;
}

/** Every version reads `"left right"`; only tokens with a space need the newer form of pairs. */
function mergesJson(vocabulary: Vocabulary, merges: Int32Array): JsonValue[] {
  const pairs: [string, string][] = [];
  let hasSpace = false;
  for (let i = 0; i < merges.length; i += 2) {
    const pair: [string, string] = [
      vocabulary.tokenOf(merges[i]) ?? '',
      vocabulary.tokenOf(merges[i + 1]) ?? '',
    ];
    hasSpace ||= pair[0].includes(' ') || pair[1].includes(' ');
    pairs.push(pair);
  }
  return hasSpace ? pairs : pairs.map((pair) => pair.join(' '));
}

/** tokenizer_config.json: as it was read, completed by what other files said. */
export function configJson({ config, namedTokens, chatTemplates }: TokenizerDefinition): JsonObject {
  // Without a class, transformers looks for the model's config.json, which may not be there.
  const written: JsonObject = { tokenizer_class: 'PreTrainedTokenizerFast', ...config };
  for (const [role, content] of Object.entries(namedTokens)) written[role] ??= content;
  const templates = Object.entries(chatTemplates);
  if (templates.length === 1 && templates[0][0] === 'default') written.chat_template = templates[0][1];
  else if (templates.length > 0)
    written.chat_template = templates.map(([name, template]) => ({ name, template }));
  return written;
}
