import type { TokenizerDefinition } from '../definition.js';
import type { JsonObject } from '../file/json.js';
import { JsonReader } from '../file/json-reader.js';

/** The special tokens around a text, such as BOS before it. */
export interface Affixes {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

const NOTHING: Affixes = { prefix: [], suffix: [] };

/** What `addSpecialTokens` adds, as the post-processor says. */
export function readAffixes(definition: TokenizerDefinition): Affixes {
  const { postProcessor, file } = definition;
  if (postProcessor === null) return NOTHING;
  return fromPostProcessor(new JsonReader(file, 'post_processor', postProcessor), definition);
}

function fromPostProcessor(reader: JsonReader, definition: TokenizerDefinition): Affixes {
  const type = reader.at('type').string();
  switch (type) {
    case 'Sequence':
      return reader
        .at('processors')
        .items()
        .map((item) => fromPostProcessor(item, definition))
        .reduce(
          (inner, outer) => ({
            prefix: [...outer.prefix, ...inner.prefix],
            suffix: [...inner.suffix, ...outer.suffix],
          }),
          NOTHING,
        );
    case 'TemplateProcessing':
      return fromTemplate(reader, definition);
    case 'BertProcessing':
    case 'RobertaProcessing':
      return { prefix: [reader.at('cls').at(1).index()], suffix: [reader.at('sep').at(1).index()] };
    case 'ByteLevel':
      return NOTHING;
    default:
      return reader.fail('unknown post-processor', {
        got: type,
        expected: 'Sequence, TemplateProcessing, BertProcessing, RobertaProcessing or ByteLevel',
      });
  }
}

function fromTemplate(reader: JsonReader, definition: TokenizerDefinition): Affixes {
  const prefix: number[] = [];
  const suffix: number[] = [];
  let side = prefix;
  for (const item of reader.at('single').items()) {
    if (item.at('Sequence').isPresent) side = suffix;
    else side.push(...templateIds(reader, item.at('SpecialToken').at('id').string(), definition));
  }
  return { prefix, suffix };
}

function templateIds(
  reader: JsonReader,
  name: string,
  { addedTokens, vocabulary }: TokenizerDefinition,
): number[] {
  const listed = reader.at('special_tokens').at(name);
  if (listed.isPresent) {
    return listed
      .at('ids')
      .items()
      .map((id) => id.index());
  }
  const id = addedTokens.find(({ content }) => content === name)?.id ?? vocabulary.idOf(name);
  return id === undefined
    ? reader.fail('a template uses an unknown token', { got: JSON.stringify(name) })
    : [id];
}

interface NamedId {
  readonly content: string;
  readonly id: number;
}

/** The post-processor that puts tokens before and after a text, in the form of tokenizer.json. */
export function templateProcessing(before: readonly NamedId[], after: readonly NamedId[]): JsonObject {
  const special = (typeId: number) => (token: NamedId) => ({
    SpecialToken: { id: token.content, type_id: typeId },
  });
  const sequence = (id: string, typeId: number) => ({ Sequence: { id, type_id: typeId } });
  const half = (id: string, typeId: number) => [
    ...before.map(special(typeId)),
    sequence(id, typeId),
    ...after.map(special(typeId)),
  ];
  const listed = [...before, ...after].map(({ content, id }) => [
    content,
    { id: content, ids: [id], tokens: [content] },
  ]);
  return {
    type: 'TemplateProcessing',
    single: half('A', 0),
    pair: [...half('A', 0), ...half('B', 1)],
    special_tokens: Object.fromEntries(listed),
  };
}
