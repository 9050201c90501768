// The debugger of programs. A session lives as long as the page that shows it: the stream of [data-debug-stream] holds it open, and
// the server ends it when that breaks. [data-debug-key="F10"] are the buttons that keys click, from the editor, too.
// [data-debug-log="id"] is what the last command brought; what came before it in that session stays above.
let stream, followed;
let logged = { id: "", items: [] };

function ended() {
  stream?.close(); // else it would ask again and again
  for (const el of document.querySelectorAll("[data-debug-gone]")) el.hidden = false;
}

function follow() {
  const url = document.querySelector("[data-debug-stream]")?.dataset.debugStream;
  if (url === followed) return;
  stream?.close();
  followed = url;
  if (!url) return;
  stream = new EventSource(url);
  stream.addEventListener("ended", ended);
  stream.addEventListener("error", ended);
}

function keepLog() {
  const list = document.querySelector("[data-debug-log]");
  if (!list || list.dataset.kept !== undefined) return;
  const id = list.dataset.debugLog;
  if (id === logged.id) list.prepend(...logged.items);
  list.dataset.kept = "";
  logged = { id, items: [...list.children].slice(-500) };
  list.scrollTop = list.scrollHeight;
}

document.addEventListener("htmx:after:swap", () => {
  follow();
  keepLog();
});

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
  const key = (e.shiftKey ? "Shift+" : "") + e.key;
  const button = document.querySelector(`[data-debug-key="${CSS.escape(key)}"]`);
  if (!button || document.querySelector("dialog[open]")) return;
  e.preventDefault();
  e.stopPropagation(); // the editor knows some of these keys as well
  button.click();
}, true);
