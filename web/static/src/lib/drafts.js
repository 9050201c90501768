// What is typed into form[data-draft="name"] is kept in this tab until the server has taken it: a lost session, a failed request
// or a crash loses nothing. It is offered again, never put in by itself, as the form may have changed meanwhile.
import { all, onContent, typed } from "./dom.js";
import { dirty, settle } from "./forms.js";

const owner = "draft:" + (document.body.dataset.user ?? "") + ":";
const keyOf = (form) => owner + form.dataset.draft;
const kept = (el) => !el.closest("[data-no-draft]");
const boxed = (el) => el.type === "checkbox" || el.type === "radio";
const values = (form) => typed(form).filter(kept).map((el) => [el.name, boxed(el) ? el.checked : el.value]);

function load(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

function store(key, draft) {
  try {
    if (draft) sessionStorage.setItem(key, JSON.stringify(draft));
    else sessionStorage.removeItem(key);
  } catch {
    // Full or forbidden: the guard against leaving is what remains.
  }
}

function save(form) {
  store(keyOf(form), dirty(form) ? { at: Date.now(), fields: values(form) } : null);
}

function restore(form, draft) {
  const rest = [...draft.fields];
  for (const el of typed(form).filter(kept)) {
    const i = rest.findIndex(([name]) => name === el.name);
    if (i < 0) continue;
    const [[, value]] = rest.splice(i, 1);
    if (boxed(el)) el.checked = value;
    else el.value = value;
    el.dispatchEvent(new Event("input", { bubbles: true }));
    el.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

function offer(form, draft) {
  if (form.querySelector("[data-draft-note]")) return;
  const note = document.getElementById("draft-note").content.firstElementChild.cloneNode(true);
  const at = new Date(draft.at);
  note.querySelector("time").textContent = `${String(at.getHours()).padStart(2, "0")}:${String(at.getMinutes()).padStart(2, "0")}`;
  note.addEventListener("click", (e) => {
    const choice = e.target.closest("[data-draft-do]")?.dataset.draftDo;
    if (!choice) return;
    note.remove();
    if (choice === "restore") restore(form, draft);
    else store(keyOf(form), null);
    typed(form)[0]?.focus();
  });
  form.prepend(note);
}

/** Looks at the drafts that were sent with the page before this one: taken, refused, or never arrived. */
function review() {
  const arrived = !document.querySelector("[data-failed]") && !document.body.classList.contains("bare");
  for (const key of Object.keys(sessionStorage)) {
    if (!key.startsWith(owner)) continue;
    const draft = load(key);
    if (!draft?.sent) continue;
    const again = all(document, "form[data-draft]").some((form) => keyOf(form) === key);
    if (arrived && !again) store(key, null);
    else store(key, { ...draft, sent: undefined });
  }
}

const timers = new WeakMap();
document.addEventListener("input", (e) => {
  const form = e.target.form;
  if (!form?.matches("[data-draft]")) return;
  clearTimeout(timers.get(form));
  timers.set(form, setTimeout(() => save(form), 250));
});
document.addEventListener("submit", (e) => {
  const form = e.target;
  if (form.matches("[data-logout]")) {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith("draft:")) sessionStorage.removeItem(key);
  }
  if (!form.matches("[data-draft]")) return;
  clearTimeout(timers.get(form));
  if (dirty(form)) store(keyOf(form), { at: Date.now(), fields: values(form), sent: !form.matches("[hx-post]") || undefined });
}, true);
document.addEventListener("htmx:after:request", (e) => {
  const { request, response } = e.detail.ctx;
  const form = request.form;
  if (!form || request.method === "GET" || response.status >= 400) return;
  if (form.matches("[data-draft]")) {
    clearTimeout(timers.get(form));
    store(keyOf(form), null);
  }
  if (form.matches("[data-draft], [data-guard]")) settle(form);
});

review();
onContent((root) => {
  for (const form of all(root, "form[data-draft]")) {
    const draft = load(keyOf(form));
    if (!draft) continue;
    if (JSON.stringify(values(form)) === JSON.stringify(draft.fields)) {
      if (!dirty(form)) store(keyOf(form), null);
    } else offer(form, draft);
  }
});
