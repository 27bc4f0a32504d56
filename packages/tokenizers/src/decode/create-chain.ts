import type { TokenizerDefinition } from '../definition.js';
import { JsonReader } from '../file/json-reader.js';
import { DecodeChain, type DecodeStep, gather, mapTokens } from './step.js';
import {
  bpeSuffix,
  byteFallback,
  byteLevel,
  cleanUp,
  ctc,
  metaspace,
  replace,
  stripOptions,
  stripStart,
  stripText,
  wordPiece,
} from './steps.js';

const KINDS =
  'Sequence, ByteLevel, ByteFallback, Metaspace, Replace, Fuse, Strip, WordPiece, BPEDecoder or CTC';

/** Whether decoding is joining the bytes of tokens and nothing else. */
export const decodesBytes = (definition: TokenizerDefinition): boolean =>
  definition.decoder?.type === 'ByteLevel' && !cleansUp(definition);

/** As transformers 5: the clean-up that the configuration asks for is kept from BPE, whose text it would damage. */
const cleansUp = ({ config, modelType }: TokenizerDefinition): boolean =>
  config.clean_up_tokenization_spaces === true && modelType !== 'BPE';

/**
 * Builds the decoder of tokenizer.json.
 * @throws TokenizerFileError for unknown steps
 */
export function createDecodeChain(definition: TokenizerDefinition): DecodeChain {
  const { decoder, file } = definition;
  const readers = decoder === null ? [] : flatten(new JsonReader(file, 'decoder', decoder));
  const steps = decoder === null ? [joinWithSpaces()] : createSteps(readers);
  if (cleansUp(definition)) steps.push(gather((tokens) => cleanUp(tokens.join(''))));
  return new DecodeChain(steps);
}

const flatten = (reader: JsonReader): JsonReader[] =>
  reader.at('type').string() === 'Sequence' ? reader.at('decoders').items().flatMap(flatten) : [reader];

const joinWithSpaces = (): DecodeStep => mapTokens((token, index) => (index === 0 ? token : ` ${token}`));

function createSteps(readers: JsonReader[]): DecodeStep[] {
  const steps: DecodeStep[] = [];
  for (let i = 0; i < readers.length; i++) {
    const type = readers[i].at('type').string();
    const isLast = i + 1 === readers.length;
    if (type === 'ByteLevel') steps.push(byteLevel());
    else if (type !== 'Fuse') {
      steps.push(createStep(type, readers[i]));
      continue;
    }
    // From here on all tokens are one. Only a strip at its start can go on without seeing the rest.
    if (isLast) break;
    const options = readers[i + 1].at('type').value === 'Strip' ? stripOptions(readers[i + 1]) : undefined;
    if (options && options.stop === 0 && i + 2 === readers.length) {
      steps.push(stripStart(options));
      break;
    }
    steps.push(gather((tokens) => tokens.join('')));
  }
  return steps;
}

function createStep(type: string, reader: JsonReader): DecodeStep {
  switch (type) {
    case 'ByteFallback':
      return byteFallback();
    case 'Metaspace':
      return metaspace(reader);
    case 'Replace':
      return replace(reader);
    case 'Strip': {
      const options = stripOptions(reader);
      return mapTokens((token) => stripText(token, options));
    }
    case 'WordPiece':
      return wordPiece(reader);
    case 'BPEDecoder':
      return bpeSuffix(reader.at('suffix').optionalString() ?? '</w>');
    case 'CTC':
      return ctc(reader.object());
    default:
      return reader.fail('unknown decoder', { got: type, expected: KINDS });
  }
}
