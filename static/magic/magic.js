import { Api } from "./api.js";
import { AskingOptions } from "./asking_options.js";
import { Composer } from "./composer.js";
import { ConversationsApi } from "./conversations_api.js";
import { CostPill } from "./cost_pill.js";
import { Drafts } from "./drafts.js";
import { Following } from "./following.js";
import { Highlighter } from "./highlighter.js";
import { labDoor } from "./lab/door.js";
import { Libraries } from "./libraries.js";
import { Memory } from "./memory.js";
import { ModelPicker } from "./model_picker.js";
import { Page } from "./page.js";
import { part } from "./parts.js";
import { PlainText } from "./plain_text.js";
import { listen } from "./shortcuts.js";
import { Sidebar } from "./sidebar.js";
import { SidebarDrawer } from "./sidebar_drawer.js";
import { Telemetry } from "./telemetry.js";
import { switchTheme } from "./theme_switch.js";
import { templatesDoor } from "./templates/door.js";
import { Transcript } from "./transcript.js";

const { api: base, maxChars, defaultModel = "", markdown = "", highlighting = "" } = part("magic", HTMLElement).dataset;
const kept = new Memory(() => localStorage);
const api = new Api(base);
const following = new Following(api.streamUrl);
const conversations = new ConversationsApi(api);
const libraries = new Libraries({ markdown, highlighting });
const highlighter = new Highlighter(libraries);
const picker = new ModelPicker(part("model", HTMLSelectElement), part("model-note", HTMLElement));
const options = new AskingOptions(part("options", HTMLDialogElement), part("options-open", HTMLButtonElement), kept);
const help = part("help", HTMLDialogElement);
const drawer = new SidebarDrawer(part("side", HTMLElement), part("side-open", HTMLButtonElement), kept);

/** @param {HTMLElement} element */
function newWriter(element) {
  loadMarkdown();
  if (libraries.markdown === null) return new PlainText(element);
  const { library, Markdown } = libraries.markdown;
  return new Markdown(element, library, (code, language) => void highlighter.highlight(code, language));
}

/** @type {Promise<unknown> | null} */
let loading = null;

/** What was shown as plain text is shown anew. */
function loadMarkdown() {
  loading ??= libraries.loadMarkdown().then((loaded) => {
    if (loaded) page.rewrite();
    else loading = null;
  });
}

const composer = new Composer(part("composer", HTMLFormElement), {
  maxChars: Number(maxChars),
  onSend: (message, template) => page.ask(message, template),
  onStop: () => page.stop(),
  onDraft: (text) => {
    page.keepDraft(text);
    loadMarkdown();
  },
  onUp: () => page.editLast(),
});
const page = new Page({
  api,
  following,
  conversations,
  composer,
  drafts: new Drafts(kept),
  transcript: new Transcript(part("transcript", HTMLElement), part("latest", HTMLButtonElement), part("earlier", HTMLElement)),
  pill: new CostPill(part("facts", HTMLElement), part("totals", HTMLElement)),
  sidebar: new Sidebar(
    {
      list: part("history", HTMLElement),
      search: part("search", HTMLInputElement),
      note: part("history-note", HTMLElement),
      more: part("history-more", HTMLButtonElement),
    },
    { api: conversations, onForgotten: (id) => page.forgotten(id), onChanged: () => page.changed() },
  ),
  parts: {
    empty: part("empty", HTMLElement),
    cut: part("cut", HTMLElement),
    status: part("status", HTMLElement),
    title: part("title", HTMLElement),
    template: part("answer", HTMLTemplateElement),
  },
  newWriter,
  options: () => ({ ...(picker.value && { model: picker.value }), ...options.value }),
});

async function loadModels() {
  try {
    picker.fill(await api.models(), defaultModel);
  } catch {
    picker.unknown();
  }
}

new Telemetry(api.telemetryUrl, following).start();
labDoor(part("lab-open", HTMLElement), part("lab", HTMLElement), { following, snapshot: (id) => api.snapshot(id) });
templatesDoor(part("templates-open", HTMLButtonElement), part("templates", HTMLDialogElement), (text, template) => {
  composer.fill(text, template);
  composer.focus();
});
switchTheme(part("theme", HTMLButtonElement), kept);
part("help-open", HTMLButtonElement).addEventListener("click", () => help.showModal());
part("earlier", HTMLButtonElement).addEventListener("click", () => page.showEarlier());
part("cut", HTMLButtonElement).addEventListener("click", () => document.dispatchEvent(new CustomEvent("magic:cut")));
part("start-new", HTMLButtonElement).addEventListener("click", () => {
  page.startNew();
  drawer.closeOnPhone();
});
part("history", HTMLElement).addEventListener("click", ({ target }) => {
  if (target instanceof HTMLAnchorElement) drawer.closeOnPhone();
});
listen(document, [
  { key: "escape", anywhere: true, act: () => page.stop() },
  { key: "k", mod: true, act: () => drawer.search() },
  { key: "o", mod: true, shift: true, act: () => page.startNew() },
  { key: "/", act: () => composer.focus() },
  { key: "?", act: () => help.showModal() },
]);
if (location.hash !== "") loadMarkdown();
void loadModels();
void page.open();
