import { randomBytes } from 'node:crypto';
import type { TokenLogprobs } from '../../engine/contract.js';
import type { FinishedChoice } from '../choices.js';
import type { ChoiceWriter } from '../generation-route.js';
import { chatLogprobs } from '../logprobs.js';
import { delta, textWriter } from '../text-writer.js';
import { BareParser } from './bare.js';
import type { ShownTools } from './shown-tools.js';
import type { Piece, ToolCall, ToolCallParser } from './tool-call.js';
import { toolCallParser } from './tool-call-parser.js';

/** An answer in which functions may be called. A call goes out whole: a half one helps nobody. */
export class ToolWriter implements ChoiceWriter {
  private readonly parser: ToolCallParser;
  private calls = 0;

  constructor({ format, names, isForced }: ShownTools) {
    this.parser = isForced ? new BareParser(names, 'arguments') : toolCallParser(format, names);
  }

  whole({ text, logprobs, reason }: FinishedChoice): object {
    const pieces = [...this.parser.push(text), ...this.parser.end()];
    const content = pieces.map((piece) => ('text' in piece ? piece.text : '')).join('');
    const calls = pieces.flatMap((piece) => ('call' in piece ? [callObject(piece.call)] : []));
    return {
      message: {
        role: 'assistant',
        content: content === '' && calls.length > 0 ? null : content,
        refusal: null,
        ...(calls.length > 0 && { tool_calls: calls }),
      },
      logprobs: logprobs.length > 0 ? chatLogprobs(logprobs) : null,
      finish_reason: reasonOf(reason, calls.length),
    };
  }

  opening(): readonly object[] {
    return textWriter.opening();
  }

  piece(text: string, logprobs: readonly TokenLogprobs[] | undefined): readonly object[] {
    const entries = this.entries(this.parser.push(text));
    // Log probabilities are of tokens, not of texts: they go out when their tokens are sampled.
    return logprobs ? [...entries, delta({}, logprobs)] : entries;
  }

  closing(reason: string): readonly object[] {
    const entries = this.entries(this.parser.end());
    return [...entries, { delta: {}, logprobs: null, finish_reason: reasonOf(reason, this.calls) }];
  }

  private entries(pieces: readonly Piece[]): readonly object[] {
    return pieces.map((piece) =>
      'text' in piece
        ? delta({ content: piece.text })
        : delta({ tool_calls: [{ index: this.calls++, ...callObject(piece.call) }] }),
    );
  }
}

/** Ids of nine letters and digits: templates of Mistral accept no others. */
function callObject({ name, arguments: json }: ToolCall): object {
  return {
    id: randomBytes(9).toString('hex').slice(0, 9),
    type: 'function',
    function: { name, arguments: json },
  };
}

function reasonOf(reason: string, calls: number): string {
  return reason === 'stop' && calls > 0 ? 'tool_calls' : reason;
}
