// The keyboard. Nothing here acts while someone types, but Esc.
import { typing, visible } from "./dom.js";

const first = (selector) => [...document.querySelectorAll(selector)].find(visible);
let going; // g was pressed a moment ago

function row(step) {
  const rows = [...document.querySelectorAll("#main .grid-table tbody tr")].filter(visible);
  if (!rows.length) return;
  const at = rows.findIndex((r) => r.contains(document.activeElement));
  const next = rows[Math.min(Math.max(at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step, 0), rows.length - 1)];
  (next.querySelector("[data-focus]") ?? next.querySelector("a, button, summary"))?.focus();
}

function search(key) {
  const field = first(`[data-search="${key}"]`);
  field?.focus();
  field?.select();
  return field;
}

const actions = {
  "/": () => search("/"),
  f: () => search("f"),
  "?": () => {
    const dialog = document.getElementById("keys");
    if (dialog) dialog.open ? dialog.close() : dialog.showModal();
    return dialog;
  },
  n: () => {
    const button = first("[data-key-new]");
    button?.click();
    return button;
  },
  g: () => {
    clearTimeout(going);
    going = setTimeout(() => (going = 0), 1500);
  },
  j: () => row(1),
  k: () => row(-1),
};

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing || e.defaultPrevented) return;
  if (e.key === "Escape") {
    if (document.querySelector("dialog[open]")) return;
    if (e.target.type === "search" && e.target.value) return; // the browser empties it
    e.target.closest?.(":is(tr, form, tbody):has([data-cancel])")?.querySelector("[data-cancel]").click();
    return;
  }
  if (typing(e.target)) return;
  if (document.querySelector("dialog[open]") && e.key !== "?") return;
  if (going) {
    clearTimeout(going);
    going = 0;
    const link = document.querySelector(`#keys a[data-key="${CSS.escape(e.key)}"]`);
    if (link) {
      e.preventDefault();
      link.click();
      return;
    }
  }
  const act = Object.hasOwn(actions, e.key) && actions[e.key];
  if (act && act() !== undefined) e.preventDefault();
});
