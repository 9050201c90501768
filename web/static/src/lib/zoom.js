// Charts: dragging over a stretch of time goes to it, and rows of the same service light up together.

let drag;

const share = (plot, e) => {
  const box = plot.getBoundingClientRect();
  return Math.min(1, Math.max(0, (e.clientX - box.left) / box.width));
};

document.addEventListener("pointerdown", (e) => {
  const plot = e.target.closest?.("svg[data-zoom]");
  if (plot && e.button === 0 && e.pointerType !== "touch") drag = { plot, from: share(plot, e), to: share(plot, e) };
});

document.addEventListener("pointermove", (e) => {
  if (!drag) return;
  drag.to = share(drag.plot, e);
  if (!drag.pick && Math.abs(drag.to - drag.from) * drag.plot.clientWidth < 4) return;
  if (!drag.pick) {
    drag.pick = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    drag.pick.setAttribute("class", "chart-pick");
    drag.pick.setAttribute("height", "100%");
    drag.plot.append(drag.pick);
  }
  drag.pick.setAttribute("x", `${100 * Math.min(drag.from, drag.to)}%`);
  drag.pick.setAttribute("width", `${100 * Math.abs(drag.to - drag.from)}%`);
});

document.addEventListener("pointerup", () => {
  const { plot, from, to, pick } = drag ?? {};
  drag = undefined;
  if (!pick) return;
  pick.remove();
  const [start, end] = [Number(plot.dataset.from), Number(plot.dataset.to)];
  const minute = 60_000;
  const at = (x) => start + x * (end - start);
  let first = Math.floor(at(Math.min(from, to)) / minute) * minute;
  let last = Math.ceil(at(Math.max(from, to)) / minute) * minute;
  const least = 5 * minute; // less has too few points to see anything
  if (last - first < least) [first, last] = [first - (least - (last - first)) / 2, last + (least - (last - first)) / 2];
  const url = new URL(plot.dataset.zoom, location.href);
  url.searchParams.set("from", new Date(first).toISOString());
  url.searchParams.set("to", new Date(last).toISOString());
  location.assign(url);
});

const stop = () => {
  drag?.pick?.remove();
  drag = undefined;
};
document.addEventListener("pointercancel", stop);
document.addEventListener("keydown", (e) => e.key === "Escape" && stop());

document.addEventListener("pointerover", (e) => {
  const row = e.target.closest?.("[data-pairs] tr[data-pair]");
  for (const lit of document.querySelectorAll("[data-lit]")) if (!row || lit.dataset.pair !== row.dataset.pair) delete lit.dataset.lit;
  if (!row) return;
  for (const other of row.closest("[data-pairs]").querySelectorAll("tr[data-pair]")) {
    if (other.dataset.pair === row.dataset.pair) other.dataset.lit = "";
  }
});
