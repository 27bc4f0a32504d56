import { write } from './answer.js';
import { element, following, ui } from './dom.js';
import {
  chosenModels,
  fitModels,
  hasKeyboard,
  loadModels,
  mode,
  models,
  parameters,
  showValues,
} from './settings.js';

/** What each model is shown of the conversation so far, by its name. */
let conversations = new Map();
/** AbortController of the answers that are being written, or null. */
let running = null;

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

function chooseModels() {
  fitModels();
  showMode();
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

function addArticle(kind, parent = ui.thread) {
  ui.thread.querySelector('.welcome')?.remove();
  const article = element('article', kind);
  article.append(element('div', 'text'));
  parent.append(article);
  return article;
}

/** An article for each model that answers; two stand side by side. */
function addAnswers(kind) {
  const names = chosenModels();
  const parent = names.length === 1 ? ui.thread : element('div', 'side-by-side');
  if (names.length > 1) ui.thread.append(parent);
  const answers = names.map((name) => {
    const article = addArticle(kind, parent);
    if (names.length > 1) article.prepend(element('h3', '', name));
    return { name, article, target: article.querySelector('.text') };
  });
  ui.thread.scrollTop = ui.thread.scrollHeight;
  return answers;
}

/** Writes all answers at the same time; stopping stops them all. */
async function writeAll(answers) {
  setRunning(new AbortController());
  const { signal } = running;
  const results = await Promise.all(
    answers.map((answer) => write({ ...answer, card: models.get(answer.name), signal })),
  );
  setRunning(null);
  return results;
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
  const before = conversations;
  addArticle('user').firstChild.textContent = content;
  const system = ui.system.value.trim();
  const opening = system ? [{ role: 'system', content: system }] : [];
  const answers = addAnswers('assistant').map((answer) => {
    const asked = [...(before.get(answer.name) ?? []), { role: 'user', content }];
    const body = { ...parameters(answer.name), messages: [...opening, ...asked] };
    return { ...answer, asked, path: '/v1/chat/completions', body };
  });
  const results = await writeAll(answers);
  if (conversations !== before) return; // cleared meanwhile
  // A question without an answer is not part of a conversation; it goes back to where it can be sent again.
  if (results.every(({ failed, text }) => failed && text === '')) return restorePrompt(content);
  results.forEach(({ failed, text }, i) => {
    const { name, asked } = answers[i];
    if (!failed || text !== '') before.set(name, [...asked, { role: 'assistant', content: text }]);
  });
}

async function complete(content) {
  const answers = addAnswers('completion');
  for (const { target } of answers) target.append(element('span', 'given', content));
  await continueTexts(answers);
}

async function continueTexts(answers) {
  for (const { article } of answers) article.querySelector('.problem')?.remove();
  await writeAll(
    answers.map((answer) => ({
      ...answer,
      path: '/v1/completions',
      body: { ...parameters(answer.name), prompt: answer.target.textContent },
    })),
  );
  for (const answer of answers) {
    const more = element('button', '', 'Continue');
    more.type = 'button';
    more.addEventListener('click', () => running || continueTexts([answer]));
    following(() => answer.article.querySelector('.facts').append(more));
  }
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
  conversations = new Map();
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
for (const select of [ui.model, ui.other]) select.addEventListener('change', chooseModels);
for (const input of ui.modes) input.addEventListener('change', showMode);
for (const range of [ui.temperature, ui.topP]) range.addEventListener('input', showValues);
ui.settingsButton.addEventListener('click', () => {
  ui.settings.hidden = !ui.settings.hidden;
  ui.settingsButton.setAttribute('aria-expanded', String(!ui.settings.hidden));
});

showValues();
fitPrompt();
showMode();
loadModels().then(chooseModels, (error) => {
  ui.status.textContent = `No models: ${error.message}`;
});
// On a touch screen the focus would open the keyboard over the page.
if (hasKeyboard) ui.prompt.focus();
