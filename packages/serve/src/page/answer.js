import { element, following, ui } from './dom.js';
import { streamed } from './server.js';

/** Counts tokens and time of one answer and writes them under it. */
export class Facts {
  constructor(article, card) {
    this.card = card;
    article.querySelector('.facts')?.remove();
    this.line = element('p', 'facts');
    article.append(this.line);
    this.start = performance.now();
    this.pieces = 0;
    this.tokens = null;
    this.reason = '';
  }

  addPiece() {
    const now = performance.now();
    this.first ??= now;
    this.last = now;
    this.pieces++;
    this.show();
  }

  show() {
    if (this.pieces === 0 && this.tokens === null && this.reason === '') return;
    const tokens = this.tokens ?? this.pieces;
    const seconds = (this.last - this.first) / 1000;
    const facts = [`${tokens} ${tokens === 1 ? 'token' : 'tokens'}`];
    if (tokens > 1 && seconds > 0) {
      const speed = (tokens - 1) / seconds;
      facts.push(`${speed.toFixed(1)} tokens/s`);
      const price = Number(ui.price.value);
      if (price > 0) facts.push(`${((price / 3600 / speed) * 1e6).toPrecision(3)} per million tokens`);
    }
    if (this.first) facts.push(`first after ${((this.first - this.start) / 1000).toFixed(2)} s`);
    if (this.card) facts.push(`${(this.card.weight_bytes / 2 ** 20).toFixed(0)} MiB`);
    if (this.reason) facts.push(this.reason);
    this.line.replaceChildren(...facts.map((fact) => element('span', '', fact)));
  }
}

const reasons = { stop: '', length: 'token limit reached' };

export function showProblem(article, message) {
  const problem = element('div', 'problem', message);
  problem.setAttribute('role', 'alert');
  following(() => article.append(problem));
}

/** Streams an answer into `target`; returns its text, and whether an error ended it. */
export async function write({ article, target, path, body, card, signal }) {
  const facts = new Facts(article, card);
  let text = '';
  article.classList.add('running');
  try {
    for await (const chunk of streamed(path, body, signal)) {
      if (chunk.usage) facts.tokens = chunk.usage.completion_tokens;
      const [choice] = chunk.choices;
      const piece = choice?.delta?.content ?? choice?.text ?? '';
      if (choice?.finish_reason) facts.reason = reasons[choice.finish_reason] ?? choice.finish_reason;
      if (!piece) continue;
      text += piece;
      following(() => {
        target.append(piece);
        facts.addPiece();
      });
    }
    return { text, failed: false };
  } catch (error) {
    if (error.name === 'AbortError') {
      facts.reason = 'stopped';
      return { text, failed: false };
    }
    showProblem(article, error instanceof TypeError ? 'No connection to the server.' : error.message);
    return { text, failed: true };
  } finally {
    article.classList.remove('running');
    facts.show();
  }
}
