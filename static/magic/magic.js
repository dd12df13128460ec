import { Api } from "./api.js";
import { AskingOptions } from "./asking_options.js";
import { Composer } from "./composer.js";
import { ConversationsApi } from "./conversations_api.js";
import { CostPill } from "./cost_pill.js";
import { Drafts } from "./drafts.js";
import { Highlighter } from "./highlighter.js";
import { Libraries } from "./libraries.js";
import { Markdown } from "./markdown.js";
import { Memory } from "./memory.js";
import { ModelPicker } from "./model_picker.js";
import { Page } from "./page.js";
import { part } from "./parts.js";
import { PlainText } from "./plain_text.js";
import { listen } from "./shortcuts.js";
import { Sidebar } from "./sidebar.js";
import { SidebarDrawer } from "./sidebar_drawer.js";
import { switchTheme } from "./theme_switch.js";
import { Transcript } from "./transcript.js";

const { api: base, maxChars, defaultModel = "", markdown = "", highlighting = "" } = part("magic", HTMLElement).dataset;
const kept = new Memory(() => localStorage);
const api = new Api(base);
const conversations = new ConversationsApi(api);
const libraries = new Libraries({ markdown, highlighting });
const highlighter = new Highlighter(libraries);
const picker = new ModelPicker(part("model", HTMLSelectElement), part("model-note", HTMLElement));
const options = new AskingOptions(part("options", HTMLDialogElement), part("options-open", HTMLButtonElement), kept);
const help = part("help", HTMLDialogElement);
const drawer = new SidebarDrawer(part("side", HTMLElement), part("side-open", HTMLButtonElement), kept);

/** @param {HTMLElement} element */
function newWriter(element) {
  if (libraries.markdown === null) return new PlainText(element);
  return new Markdown(element, libraries.markdown, (code, language) => void highlighter.highlight(code, language));
}

const composer = new Composer(part("composer", HTMLFormElement), {
  maxChars: Number(maxChars),
  onSend: (message) => page.ask(message),
  onStop: () => page.stop(),
  onDraft: (text) => page.keepDraft(text),
  onUp: () => page.editLast(),
});
const page = new Page({
  api,
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

switchTheme(part("theme", HTMLButtonElement), kept);
part("help-open", HTMLButtonElement).addEventListener("click", () => help.showModal());
part("earlier", HTMLButtonElement).addEventListener("click", () => page.showEarlier());
part("new", HTMLButtonElement).addEventListener("click", () => {
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
void libraries.loadMarkdown().then((loaded) => loaded && page.rewrite());
void loadModels();
void page.open();
