import { Template } from '@huggingface/jinja';
import { ChatTemplateError } from '../errors.js';
import type { Tokenizer } from '../tokenizer.js';
import { defaultTemplate } from './default-templates.js';
import { type ChatMessage, preparedMessages } from './messages.js';
import { printAsPython, printFunctions } from './python-print.js';
import { stripAsPython, stripFunctions } from './python-strip.js';

export interface ApplyOptions {
  /** End with the beginning of an answer. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** Let the model go on with the last message: leave out what the template puts after it. Default false. */
  readonly continueFinalMessage?: boolean;
  /** Functions that the model may call, as JSON schemas. */
  readonly tools?: readonly object[];
  readonly documents?: readonly object[];
  /** Other variables of the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

export interface ChatTemplateOptions {
  /** One of `tokenizer.chatTemplates`. Default: `tool_use` when there are tools and such a template, else `default`. */
  readonly name?: string;
  /** A template to use instead of the tokenizer's own. */
  readonly source?: string;
}

/** Turns a conversation into the prompt that a model was trained on. */
export interface ChatTemplate {
  /** Whether the tokenizer brought a template; else a plain one stands in. */
  readonly isDefault: boolean;
  /** @throws ChatTemplateError when the template refuses the messages or fails */
  apply(messages: readonly ChatMessage[], options?: ApplyOptions): string;
  /** Ids of the prompt. The template writes BOS itself, so nothing is added. */
  encode(messages: readonly ChatMessage[], options?: ApplyOptions): Int32Array;
}

/**
 * The chat template of a tokenizer, as `apply_chat_template` of transformers runs it.
 * @throws ChatTemplateError for syntax errors and unknown names
 */
export function chatTemplate(tokenizer: Tokenizer, options: ChatTemplateOptions = {}): ChatTemplate {
  const own = ownTemplates(tokenizer, options);
  const compiled = new Map([['default', compile('default', own.default)]]);
  const templateOf = (name: string): Template => {
    const template = compiled.get(name) ?? compile(name, own[name]);
    compiled.set(name, template);
    return template;
  };
  const apply = (messages: readonly ChatMessage[], applyOptions: ApplyOptions = {}): string => {
    if (messages.length === 0)
      throw new ChatTemplateError({ where: 'chat template', what: 'there is no message' });
    const name = applyOptions.tools && Object.hasOwn(own, 'tool_use') ? 'tool_use' : 'default';
    const text = render(name, templateOf(name), {
      ...tokenizer.namedTokens,
      messages: preparedMessages(messages),
      // Defined, and none: templates ask for both.
      tools: applyOptions.tools ?? null,
      documents: applyOptions.documents ?? null,
      add_generation_prompt: applyOptions.addGenerationPrompt ?? false,
      ...applyOptions.variables,
    });
    return applyOptions.continueFinalMessage ? cutAfter(text, messages.at(-1)) : text;
  };
  return {
    isDefault: options.source === undefined && Object.keys(tokenizer.chatTemplates).length === 0,
    apply,
    encode: (messages, applyOptions) =>
      tokenizer.encode(apply(messages, applyOptions), { addSpecialTokens: false }),
  };
}

/** The templates in play; `default` is always among them. */
function ownTemplates(tokenizer: Tokenizer, { name, source }: ChatTemplateOptions): Record<string, string> {
  const { chatTemplates } = tokenizer;
  if (source !== undefined) return { default: source };
  if (name === undefined)
    return { default: chatTemplates.default ?? defaultTemplate(tokenizer), ...chatTemplates };
  if (!Object.hasOwn(chatTemplates, name)) {
    throw new ChatTemplateError({
      where: `chat template ${name}`,
      what: 'there is no such template',
      expected: Object.keys(chatTemplates).join(', ') || 'none: this tokenizer has no template',
    });
  }
  return { default: chatTemplates[name] };
}

function compile(name: string, source: string): Template {
  try {
    // As Python's jinja2 reads templates: one kind of line end, whatever the file has.
    const template = new Template(source.replace(/\r\n?/g, '\n'));
    stripAsPython(template);
    printAsPython(template);
    return template;
  } catch (cause) {
    throw new ChatTemplateError({
      where: `chat template ${name}`,
      what: 'the template has a syntax error',
      got: messageOf(cause),
      hint: 'Give a corrected template with the option source.',
      cause,
    });
  }
}

function render(name: string, template: Template, variables: Record<string, unknown>): string {
  try {
    return template.render({ ...variables, ...stripFunctions, ...printFunctions });
  } catch (cause) {
    throw new ChatTemplateError({
      where: `chat template ${name}`,
      what: 'the template refused the messages',
      got: messageOf(cause),
      hint: 'Check the roles, their order, and that each message has a content.',
      cause,
    });
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function cutAfter(text: string, message: ChatMessage | undefined): string {
  const content = typeof message?.content === 'string' ? message.content : '';
  // Templates may trim messages: what follows then continues the trimmed text.
  const written = [content, content.trimEnd(), content.trim()].find(
    (form) => form !== '' && text.includes(form),
  );
  if (written === undefined) {
    throw new ChatTemplateError({
      where: 'continueFinalMessage',
      what: 'the last message cannot be continued',
      got: content === '' ? 'no text' : 'a template that does not write it as it is',
      expected: 'a last message with text',
    });
  }
  return text.slice(0, text.lastIndexOf(written) + written.length);
}
