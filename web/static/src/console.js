// The console. A form[data-console-send] sends commands; the answer comes in parts, each the state of the session or a result, so
// that one sees each as it comes and can stop what waits. Messages come as events. Nothing here is needed to run a command.
import { typing } from "./lib/dom.js";

const root = document.querySelector("[data-console]");
const log = document.getElementById("console-log");
const form = document.getElementById("console-form");
const field = document.getElementById("console-text");

const partEnd = "\n<!--part-->\n"; // see redis_console_run.go
const maxEntries = 500;
const maxMessages = 2000;
const headers = { "HX-Request": "true", "HX-Request-Type": "partial", "HX-Current-URL": location.href };

function parse(html) {
  return document.adoptNode(new DOMParser().parseFromString(html, "text/html").body).children;
}

// --- Results

function atEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 40;
}

function toEnd() {
  log.scrollTop = log.scrollHeight;
}

function note(text) {
  const p = document.createElement("p");
  p.className = "console-note";
  p.textContent = text;
  log.append(p);
  toEnd();
}

/** The form in which results are shown is that which was chosen last. */
let shown = "cli";
log.addEventListener("change", (e) => {
  if (e.target.name?.startsWith("as-")) shown = e.target.value;
});

function addEntry(entry) {
  if ("clear" in entry.dataset) {
    log.replaceChildren();
    return;
  }
  const choice = entry.querySelector(`input[name^="as-"][value="${shown}"]`);
  if (choice) choice.checked = true;
  log.append(entry);
  while (log.children.length > maxEntries) log.firstElementChild.remove();
  entry.querySelectorAll("[data-console-stream]").forEach(follow);
  toEnd();
}

function setState(bar) {
  const now = document.getElementById("console-bar");
  const focused = now.contains(document.activeElement);
  now.replaceWith(bar);
  if (focused) field.focus();
  history.replaceState(history.state, "", bar.dataset.page || location.pathname);
}

/** Puts a part of an answer where it belongs. */
function take(html, sent) {
  for (const el of [...parse(html)]) {
    if (el.id === "console-bar") setState(el);
    else {
      if (!("keep" in el.dataset)) taken(sent);
      addEntry(el);
    }
  }
}

/** What was typed is in the hands of the server; what was refused stays in the field. */
function taken(sent) {
  if (field.value !== sent) return;
  field.value = "";
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

// --- Sending

let sending = false;

async function send(from) {
  if (sending) return;
  const data = new URLSearchParams(new FormData(from));
  if (!data.get("text")?.trim()) return;
  const sent = from === form ? field.value : null;
  sending = true;
  root.dataset.busy = "";
  known = null;
  closeList();
  try {
    const answer = await fetch(from.action, { method: "POST", headers, body: data });
    if (answer.headers.get("HX-Redirect")) {
      location.assign(answer.headers.get("HX-Redirect"));
      return;
    }
    if (!answer.ok) {
      const said = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".toast-text");
      note(said?.textContent.trim() || `The server refused it (${answer.status}).`);
      return;
    }
    if (from.matches(".console-confirm")) from.closest("article").remove();
    else if (from !== form) from.remove();
    await readParts(answer.body, (html) => take(html, sent));
  } catch {
    note("The connection was lost before the answer had come. What was typed may have run or not: look before it is run again.");
  } finally {
    sending = false;
    delete root.dataset.busy;
    if (!ask() && !typing(document.activeElement)) field.focus();
  }
}

/** A question that waits for an answer has the focus. */
function ask() {
  const input = field.value ? null : log.lastElementChild?.querySelector("input[name=confirm]");
  input?.focus();
  return input;
}

async function readParts(body, fn) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split(partEnd);
    rest = parts.pop();
    parts.filter((html) => html.trim()).forEach(fn);
  }
}

/** Stop and Close, which may come while commands run. */
async function tell(button) {
  button.setAttribute("aria-disabled", "true");
  try {
    const answer = await fetch(button.formAction, { method: "POST", headers, body: new URLSearchParams({}) });
    if (answer.headers.get("HX-Redirect")) location.assign(answer.headers.get("HX-Redirect"));
    if (answer.status === 200) take(await answer.text(), null);
    if (answer.status === 200) note("The console is closed. The next command opens another one.");
  } catch {
    note("The server can't be reached. What runs goes on until its time is up.");
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

root.addEventListener("submit", (e) => {
  const { submitter, target } = e;
  if (submitter?.dataset.consolePost !== undefined) {
    e.preventDefault();
    tell(submitter);
  } else if (target.matches("[data-console-send]")) {
    e.preventDefault();
    send(target);
  }
});

root.addEventListener("click", (e) => {
  if (e.target.closest("[data-console-drop]")) {
    e.target.closest("form").remove();
    note("It was not run.");
    field.focus();
  }
});

// --- Messages

function follow(block) {
  const list = block.querySelector("[data-messages]");
  const count = block.querySelector("[data-count]");
  const stream = new EventSource(block.dataset.consoleStream);
  stream.addEventListener("messages", (e) => {
    const down = atEnd();
    const [fresh] = parse(`<ol>${e.data}</ol>`);
    for (const time of fresh.querySelectorAll("time")) time.textContent = new Date(time.dateTime).toTimeString().slice(0, 8);
    list.append(...fresh.children);
    while (list.children.length > maxMessages) list.firstElementChild.remove();
    if (down) toEnd();
  });
  stream.addEventListener("count", (e) => (count.textContent = e.data));
  stream.addEventListener("ended", (e) => {
    stream.close();
    count.textContent = [count.textContent, e.data].filter(Boolean).join(". ");
    document.getElementById("console-stop")?.remove();
    root.querySelector(".console-running")?.remove();
    if (atEnd()) toEnd();
  });
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) count.textContent = "This console has ended, or the server can't be reached. The next command opens another one.";
  });
}

// --- Completion

let asking, timer;
const help = () => document.getElementById("console-help");
const options = () => [...help().querySelectorAll("[data-suggestion]")];
const selected = () => help().querySelector('[aria-selected="true"]');

/** The line that the cursor is in, up to the cursor, and where it begins. */
function line() {
  const to = field.selectionStart;
  const from = field.value.lastIndexOf("\n", to - 1) + 1;
  return { from, text: field.value.slice(from, to) };
}

function closeList() {
  clearTimeout(timer);
  asking?.abort();
  help().querySelector(".console-list")?.remove();
  field.removeAttribute("aria-activedescendant");
}

async function suggest() {
  const { text } = line();
  asking?.abort();
  if (!text.trim() || text.length > 4096) return help().replaceChildren();
  asking = new AbortController();
  try {
    const answer = await fetch(field.dataset.complete, { method: "POST", headers, body: new URLSearchParams({ text }), signal: asking.signal });
    const [fresh] = answer.ok ? parse(await answer.text()) : [];
    if (fresh?.id === "console-help" && line().text === text) help().replaceWith(fresh);
  } catch {
    // A newer question, or nobody to answer it: one can go on without.
  }
}

field.addEventListener("input", () => {
  place = -1;
  clearTimeout(timer);
  timer = setTimeout(suggest, 120);
});

function choose(option) {
  selected()?.setAttribute("aria-selected", "false");
  option.setAttribute("aria-selected", "true");
  option.scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-activedescendant", option.id);
}

function accept(option) {
  const at = line();
  const from = at.from + Number(help().dataset.from);
  field.setRangeText(option.dataset.suggestion + " ", from, field.selectionStart, "end");
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

root.addEventListener("mousedown", (e) => {
  const option = e.target.closest("[data-suggestion]");
  if (!option) return;
  e.preventDefault(); // the field keeps the focus
  accept(option);
});

// --- History

let known = null; // the lines, the newest first
let place = -1; // in them; -1 = what is being typed
let typed = "";

async function recall(step) {
  if (!known) {
    try {
      const answer = await fetch(form.dataset.consoleHistory, { headers });
      known = [...parse(await answer.text())].flatMap((el) => [...el.querySelectorAll("[data-line]")].map((a) => a.dataset.line));
    } catch {
      return;
    }
  }
  const next = place + step;
  if (next < -1 || next >= known.length) return;
  if (place === -1) typed = field.value;
  const text = next === -1 ? typed : known[next];
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  place = next;
  closeList();
  field.setSelectionRange(text.length, text.length);
}

field.addEventListener("keydown", (e) => {
  if (e.isComposing || e.altKey) return;
  if (e.ctrlKey && e.key === "r") {
    e.preventDefault();
    location.assign(form.dataset.consoleHistory);
    return;
  }
  if (e.ctrlKey || e.metaKey) {
    if (e.key === "c" && field.selectionStart === field.selectionEnd) document.getElementById("console-stop")?.click();
    if (e.key === "l") {
      e.preventDefault();
      log.replaceChildren();
    }
    return;
  }
  const list = options();
  const now = list.indexOf(selected());
  switch (e.key) {
    case "Tab":
      if (!list.length || e.shiftKey) return;
      e.preventDefault();
      if (now >= 0 || list.length === 1) accept(list[Math.max(now, 0)]);
      else choose(list[0]);
      return;
    case "Enter":
      if (e.shiftKey) return;
      e.preventDefault();
      if (now >= 0) accept(list[now]);
      else form.requestSubmit(document.getElementById("console-run"));
      return;
    case "Escape":
      if (!list.length) return;
      e.preventDefault();
      closeList();
      return;
    case "ArrowDown":
    case "ArrowUp": {
      const step = e.key === "ArrowUp" ? -1 : 1;
      if (now >= 0) {
        e.preventDefault();
        choose(list[(now + step + list.length) % list.length]);
        return;
      }
      const beyond = step < 0 ? field.value.slice(0, field.selectionStart) : field.value.slice(field.selectionEnd);
      if (beyond.includes("\n")) return; // within what is typed
      e.preventDefault();
      recall(-step);
    }
  }
});

log.querySelectorAll("[data-console-stream]").forEach(follow);
field.setSelectionRange(field.value.length, field.value.length);
