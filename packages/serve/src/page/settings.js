import { byId, ui } from './dom.js';
import { ask } from './server.js';

/** Cards of `/v1/models` by name. */
export const models = new Map();

export const hasKeyboard = matchMedia('(pointer: fine)').matches;

export const mode = () => ui.modes.find((input) => input.checked).value;

/** The models that answer: one, or two side by side. */
export const chosenModels = () => [ui.model.value, ui.other.value].filter((name) => name !== '');

export async function loadModels() {
  const { data } = await (await ask('/v1/models')).json();
  const writers = data.filter(({ task }) => task === 'generate');
  for (const card of writers) {
    models.set(card.id, card);
    ui.model.add(new Option(card.id, card.id));
    ui.other.add(new Option(`and ${card.id}`, card.id));
  }
  ui.other.hidden = writers.length < 2;
}

/** Adapts modes and limits to what the chosen models can do. */
export function fitModels() {
  const cards = chosenModels().map((name) => models.get(name));
  if (cards.length === 0) return;
  const canChat = cards.every(({ chat }) => chat);
  for (const input of ui.modes) {
    if (input.value === 'chat') input.disabled = !canChat;
    input.checked = input.value === (cards.every(({ roles }) => roles) ? 'chat' : 'complete');
  }
  const contextLength = Math.min(...cards.map((card) => card.context_length));
  ui.maxTokens.max = contextLength;
  if (Number(ui.maxTokens.value) > contextLength / 2) ui.maxTokens.value = Math.floor(contextLength / 4);
  byId('context-length').textContent = `The context holds ${contextLength.toLocaleString()} tokens.`;
}

export function showValues() {
  byId('temperature-value').textContent = Number(ui.temperature.value).toFixed(2);
  byId('top-p-value').textContent = Number(ui.topP.value).toFixed(2);
}

export function parameters(model) {
  return {
    model,
    temperature: Number(ui.temperature.value),
    top_p: Number(ui.topP.value),
    ...(ui.maxTokens.value && { max_tokens: Number(ui.maxTokens.value) }),
    ...(ui.seed.value && { seed: Number(ui.seed.value) }),
  };
}
