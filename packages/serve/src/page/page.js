const byId = (id) => document.getElementById(id);
const ui = {
  model: byId('model'),
  modes: [...document.querySelectorAll('input[name=mode]')],
  settingsButton: byId('settings-button'),
  settings: byId('settings'),
  temperature: byId('temperature'),
  topP: byId('top-p'),
  maxTokens: byId('max-tokens'),
  seed: byId('seed'),
  system: byId('system'),
  systemSetting: byId('system-setting'),
  clear: byId('clear'),
  thread: byId('thread'),
  composer: byId('composer'),
  prompt: byId('prompt'),
  send: byId('send'),
  stop: byId('stop'),
  status: byId('status'),
};

const hasKeyboard = matchMedia('(pointer: fine)').matches;

/** Cards of `/v1/models` by name. */
const models = new Map();
/** What the model is shown of the conversation so far. */
let messages = [];
/** AbortController of the answer that is being written, or null. */
let running = null;

// --- talking to the server ---

/** The events of a streamed answer. Throws an Error with the server's message. */
async function* streamed(path, body, signal) {
  const response = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok) throw new Error(await messageOf(response));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error('The answer broke off: the server closed the connection.');
    const events = (rest + value).split('\n\n');
    rest = events.pop();
    for (const event of events) {
      if (!event.startsWith('data: ')) continue;
      const data = event.slice('data: '.length);
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      yield chunk;
    }
  }
}

async function messageOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

async function loadModels() {
  try {
    const response = await fetch('/v1/models');
    if (!response.ok) throw new Error(await messageOf(response));
    const { data } = await response.json();
    for (const card of data) {
      models.set(card.id, card);
      ui.model.add(new Option(card.id, card.id));
    }
    chooseModel();
  } catch (error) {
    ui.status.textContent = `No connection to the server: ${error.message}`;
  }
}

// --- settings ---

const mode = () => ui.modes.find((input) => input.checked).value;

function chooseModel() {
  const card = models.get(ui.model.value);
  if (!card) return;
  for (const input of ui.modes) if (input.value === 'chat') input.disabled = !card.chat;
  setMode(card.roles ? 'chat' : 'complete');
  ui.maxTokens.max = card.context_length;
  if (Number(ui.maxTokens.value) > card.context_length / 2)
    ui.maxTokens.value = Math.floor(card.context_length / 4);
  byId('context-length').textContent = `The context holds ${card.context_length.toLocaleString()} tokens.`;
  showMode();
}

function setMode(value) {
  for (const input of ui.modes) input.checked = input.value === value;
  showMode();
}

function showMode() {
  const chat = mode() === 'chat';
  ui.systemSetting.hidden = !chat;
  ui.prompt.placeholder = chat ? 'Message' : 'Text for the model to continue';
  ui.prompt.setAttribute('aria-label', ui.prompt.placeholder);
  if (!running && !ui.thread.querySelector('article')) showWelcome();
  showHint();
}

function showHint() {
  if (!hasKeyboard) return;
  ui.status.textContent = running ? 'Escape stops.' : 'Enter sends. Shift+Enter starts a new line.';
}

function showValues() {
  byId('temperature-value').textContent = Number(ui.temperature.value).toFixed(2);
  byId('top-p-value').textContent = Number(ui.topP.value).toFixed(2);
}

function parameters() {
  return {
    model: ui.model.value,
    temperature: Number(ui.temperature.value),
    top_p: Number(ui.topP.value),
    ...(ui.maxTokens.value && { max_tokens: Number(ui.maxTokens.value) }),
    ...(ui.seed.value && { seed: Number(ui.seed.value) }),
  };
}

// --- the thread ---

function element(tag, className, text = '') {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function showWelcome() {
  const welcome = element('div', 'welcome');
  const chat = mode() === 'chat';
  const hint = chat
    ? 'Ask the model something.'
    : 'This mode continues a text. Write how it begins; the model goes on from there.';
  welcome.append(
    element('h2', '', chat ? 'What would you like to know?' : 'How does it begin?'),
    element('p', '', hint),
  );
  ui.thread.replaceChildren(welcome);
}

function addArticle(kind) {
  ui.thread.querySelector('.welcome')?.remove();
  const article = element('article', kind);
  article.append(element('div', 'text'));
  ui.thread.append(article);
  return article;
}

/** Runs `change`, and stays at the end of the thread if the reader was there. */
function following(change) {
  const { scrollTop, scrollHeight, clientHeight } = ui.thread;
  const atEnd = scrollHeight - scrollTop - clientHeight < 80;
  change();
  if (atEnd) ui.thread.scrollTop = ui.thread.scrollHeight;
}

function showProblem(article, message) {
  const problem = element('div', 'problem', message);
  problem.setAttribute('role', 'alert');
  following(() => article.append(problem));
}

/** Counts tokens and time of one answer and writes them under it. */
class Facts {
  constructor(article) {
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
    if (this.pieces === 0 && this.reason === '') return;
    const tokens = this.tokens ?? this.pieces;
    const seconds = (this.last - this.first) / 1000;
    const facts = [`${tokens} ${tokens === 1 ? 'token' : 'tokens'}`];
    if (tokens > 1 && seconds > 0) facts.push(`${((tokens - 1) / seconds).toFixed(1)} tokens/s`);
    if (this.first) facts.push(`first after ${((this.first - this.start) / 1000).toFixed(2)} s`);
    if (this.reason) facts.push(this.reason);
    this.line.replaceChildren(...facts.map((fact) => element('span', '', fact)));
  }
}

const reasons = { stop: '', length: 'token limit reached' };

/** Streams an answer into `target`; returns its text, and whether an error ended it. */
async function write(article, target, path, body) {
  const facts = new Facts(article);
  let text = '';
  setRunning(new AbortController());
  article.classList.add('running');
  try {
    for await (const chunk of streamed(path, body, running.signal)) {
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
    setRunning(null);
  }
}

function setRunning(controller) {
  running = controller;
  ui.thread.setAttribute('aria-busy', String(controller !== null));
  ui.send.hidden = controller !== null;
  ui.stop.hidden = controller === null;
  showHint();
}

// --- the two modes ---

async function chat(content) {
  const before = messages;
  const question = addArticle('user');
  question.firstChild.textContent = content;
  const asked = [...before, { role: 'user', content }];
  const system = ui.system.value.trim();
  const answer = addArticle('assistant');
  ui.thread.scrollTop = ui.thread.scrollHeight;
  const body = {
    ...parameters(),
    messages: [...(system ? [{ role: 'system', content: system }] : []), ...asked],
  };
  const { text, failed } = await write(answer, answer.firstChild, '/v1/chat/completions', body);
  if (messages !== before) return; // the conversation was cleared meanwhile
  // A question without an answer is not part of the conversation; it goes back to where it can be sent again.
  if (failed && text === '') return restorePrompt(content);
  messages = [...asked, { role: 'assistant', content: text }];
}

async function complete(content) {
  const article = addArticle('completion');
  const target = article.firstChild;
  target.append(element('span', 'given', content));
  ui.thread.scrollTop = ui.thread.scrollHeight;
  await continueText(article, target);
}

async function continueText(article, target) {
  article.querySelector('.problem')?.remove();
  await write(article, target, '/v1/completions', { ...parameters(), prompt: target.textContent });
  const more = element('button', '', 'Continue');
  more.type = 'button';
  more.addEventListener('click', () => running || continueText(article, target));
  following(() => article.querySelector('.facts').append(more));
}

function restorePrompt(content) {
  if (ui.prompt.value === '') ui.prompt.value = content;
  fitPrompt();
}

function submit() {
  const content = ui.prompt.value;
  if (running || content.trim() === '' || !ui.model.value) return;
  ui.prompt.value = '';
  fitPrompt();
  if (mode() === 'chat') chat(content.trim());
  else complete(content);
}

function clear() {
  running?.abort();
  messages = [];
  showWelcome();
  ui.prompt.focus();
}

function fitPrompt() {
  ui.prompt.style.height = 'auto';
  ui.prompt.style.height = `${ui.prompt.scrollHeight}px`;
  ui.send.disabled = ui.prompt.value.trim() === '';
}

// --- events ---

ui.composer.addEventListener('submit', (event) => {
  event.preventDefault();
  submit();
});
ui.prompt.addEventListener('input', fitPrompt);
ui.prompt.addEventListener('keydown', (event) => {
  // An input method uses Enter to choose characters.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') running?.abort();
  if (event.key.toLowerCase() === 'k' && event.shiftKey && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    clear();
  }
});
ui.stop.addEventListener('click', () => running?.abort());
ui.clear.addEventListener('click', clear);
ui.model.addEventListener('change', chooseModel);
for (const input of ui.modes) input.addEventListener('change', showMode);
for (const range of [ui.temperature, ui.topP]) range.addEventListener('input', showValues);
ui.settingsButton.addEventListener('click', () => {
  ui.settings.hidden = !ui.settings.hidden;
  ui.settingsButton.setAttribute('aria-expanded', String(!ui.settings.hidden));
});

showValues();
fitPrompt();
showMode();
loadModels();
// On a touch screen the focus would open the keyboard over the page.
if (hasKeyboard) ui.prompt.focus();
