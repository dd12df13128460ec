import { Answer } from "./answer.js";
import { AnswerView } from "./answer_view.js";
import { Api } from "./api.js";
import { Composer } from "./composer.js";
import { Following } from "./following.js";
import { newStreamId } from "./ids.js";
import { labDoor } from "./lab/door.js";
import { ModelPicker } from "./model_picker.js";
import { Telemetry } from "./telemetry.js";
import { Transcript } from "./transcript.js";

const RECENT = 20;

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function part(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return element;
}

const page = part("magic", HTMLElement);
const empty = part("empty", HTMLElement);
const status = part("status", HTMLElement);
const template = part("answer", HTMLTemplateElement);
const api = new Api(page.dataset["api"]);
const following = new Following(api.streamUrl);
const transcript = new Transcript(part("transcript", HTMLElement), part("latest", HTMLButtonElement));
const picker = new ModelPicker(part("model", HTMLSelectElement), part("model-note", HTMLElement));
const composer = new Composer(part("composer", HTMLFormElement), {
  maxChars: Number(page.dataset["maxChars"]),
  onSend: (message) => ask(message, picker.value),
});

/**
 * @param {string} sentence
 * @param {{ noted?: boolean }} [where] `noted`: the answer itself says so, only who can't see it need be told
 */
function announce(sentence, { noted = false } = {}) {
  status.textContent = sentence;
  status.classList.toggle("unseen", noted);
}

/**
 * @param {string} streamId
 * @param {string} message
 * @param {(answer: Answer, element: HTMLElement) => void} onRetry
 */
function place(streamId, message, onRetry) {
  const view = new AnswerView(template, {
    message,
    onGrow: () => transcript.grown(),
    onStop: () => void answer.stop(),
    onRetry: () => onRetry(answer, view.element),
  });
  const answer = new Answer(streamId, { api, view, following, announce });
  empty.hidden = true;
  transcript.add(view.element);
  return answer;
}

/**
 * @param {string} message
 * @param {string} model
 */
function ask(message, model) {
  const request = { message, ...(model && { model }) };
  const answer = place(newStreamId(), message, (failed, element) => {
    // Where no answer came the start may have arrived: repeated under its own id it is not paid twice.
    if (failed.outcome === "unknown") return failed.start(request);
    if (failed.outcome === "refused") element.remove();
    ask(message, picker.value);
  });
  transcript.follow();
  answer.start(request);
}

async function loadModels() {
  try {
    picker.fill(await api.models(), page.dataset["defaultModel"] ?? "");
  } catch {
    picker.unknown();
  }
}

async function loadRecent() {
  const recent = (await api.recent(RECENT)).reverse();
  await Promise.all(recent.map(showRecent));
}

/** @param {import("./api.js").Snapshot} listed */
async function showRecent({ stream_id, message }) {
  const answer = place(stream_id, message, () => ask(message, picker.value));
  try {
    answer.show(await api.snapshot(stream_id));
  } catch {
    answer.unavailable();
  }
}

for (const example of empty.querySelectorAll("button")) {
  example.addEventListener("click", () => composer.send(example.dataset["message"] ?? example.innerText));
}
new Telemetry(api.telemetryUrl, following).start();
labDoor(part("lab-button", HTMLElement), part("lab", HTMLElement), { following, snapshot: (id) => api.snapshot(id) });
void loadModels();
loadRecent()
  .catch(() => announce("Earlier answers can't be loaded. They are safe on the server: reload to see them."))
  .finally(() => {
    empty.hidden = document.querySelector(".answer") !== null;
    transcript.follow();
  });
