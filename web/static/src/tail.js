// The live tail of a channel: new messages come at the top of the list. A list says data-tail: where they come from, and data-tail-after: the
// ID of the newest one that it has. Its place is that ID, so that whatever breaks the connection loses nothing: it goes on after it.
// Nothing here is needed to read messages.
import { onContent, all } from "./lib/dom.js";

const most = 500; // rows on a page, as the server sends at most; older ones are on the next pages
const retryFirst = 1000;
const retryMost = 15000;

let paused = false; // by the reader, also when a filter brings another list

class Tail {
  constructor(list) {
    this.list = list;
    this.after = list.dataset.tailAfter;
    this.rows = list.querySelector("[data-tail-rows]");
    this.retry = retryFirst;
    list.querySelector("[data-tail-toggle]").addEventListener("click", () => {
      paused = !paused;
      this.update();
    });
    this.update();
  }

  /** Follows, unless the reader has paused it or does not look. */
  update() {
    const on = !paused && !document.hidden && this.list.isConnected;
    if (on && !this.source) this.open();
    if (!on) this.close();
    const toggle = this.list.querySelector("[data-tail-toggle]");
    toggle.setAttribute("aria-pressed", String(paused));
    toggle.querySelector("[data-tail-pause]").hidden = paused;
    toggle.querySelector("[data-tail-play]").hidden = !paused;
    toggle.querySelector("[data-tail-word]").textContent = paused ? "Follow" : "Pause";
    if (paused) this.say("Paused");
  }

  open() {
    const url = new URL(this.list.dataset.tail, location.href);
    url.searchParams.set("after", this.after);
    const source = new EventSource(url);
    this.source = source;
    source.addEventListener("open", () => {
      this.retry = retryFirst;
      this.say("Live");
    });
    source.addEventListener("rows", (e) => {
      this.seen(e);
      this.add(e.data);
    });
    source.addEventListener("state", (e) => {
      this.seen(e);
      this.say(e.data || "Live");
    });
    source.addEventListener("error", () => {
      this.say("Not connected; trying again");
      if (source.readyState !== EventSource.CLOSED) return; // the browser tries again, after the last ID
      this.close();
      this.timer = setTimeout(() => this.update(), this.retry);
      this.retry = Math.min(2 * this.retry, retryMost);
    });
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  seen(e) {
    if (e.lastEventId) this.after = e.lastEventId;
  }

  say(text) {
    const state = this.list.querySelector("[data-tail-state]");
    if (state.textContent !== text) state.textContent = text;
  }

  add(html) {
    const table = new DOMParser().parseFromString(`<table><tbody>${html}</tbody></table>`, "text/html");
    const fresh = [...document.adoptNode(table.querySelector("tbody")).children];
    const there = new Set([...this.rows.children].map((row) => row.dataset.id));
    this.rows.prepend(...fresh.filter((row) => !row.dataset.id || !there.has(row.dataset.id)));
    this.list.querySelector("[data-tail-table]").hidden = false;
    this.list.querySelector("[data-tail-empty]")?.remove();
    this.trim();
    this.rows.dispatchEvent(new CustomEvent("htmx:after:process", { bubbles: true })); // for times and the like
  }

  /** Drops the oldest rows; the next page begins behind what is left. */
  trim() {
    let dropped = false;
    while (this.rows.children.length > most) {
      this.rows.lastElementChild.remove();
      dropped = true;
    }
    const next = this.list.querySelector("#list-page-Next");
    const last = [...this.rows.querySelectorAll("[data-id]")].at(-1);
    if (!dropped || !next || !last) return;
    const url = new URL(next.href);
    url.searchParams.set("cursor", last.dataset.id);
    next.href = url;
    next.setAttribute("hx-get", url.pathname + url.search);
  }
}

let current;

onContent((root) => {
  for (const list of all(root, "[data-tail]")) {
    if (current?.list === list) continue;
    current?.close();
    current = new Tail(list);
  }
});

document.addEventListener("visibilitychange", () => current?.update());
document.addEventListener("htmx:after:swap", () => current && !current.list.isConnected && current.close());
window.addEventListener("pagehide", () => current?.close());
window.addEventListener("pageshow", (e) => e.persisted && current?.update());
