// The rules of docs/htmx.md that the program keeps for everybody: what may be swapped, where the focus goes, what happens without an answer.
import { typing, visible } from "./dom.js";
import { complain, outOfDate, unreachable, withdraw } from "./toasts.js";

const isPoll = (ctx) => ctx.sourceEvent?.type === "every";
const failing = new Set(); // elements whose polls have complained
let inFlight = 0;

document.addEventListener("htmx:config:request", (e) => {
  const { ctx } = e.detail;
  const { sourceElement, target } = ctx;
  const again = ctx.request.method !== "GET" && sourceElement.classList.contains("htmx-request");
  // What stands in a list that is on its way anew would be gone as soon as it is there.
  const passing = ctx.request.method === "GET" && target?.parentElement?.closest("[aria-busy=true]");
  const idle = isPoll(ctx) && (document.hidden || (target?.contains(document.activeElement) && typing(document.activeElement)));
  if (again || idle || passing) e.preventDefault();
  if (isPoll(ctx)) ctx.request.headers["HX-Poll"] = "true"; // nobody is at work: the session grows old all the same
});

document.addEventListener("htmx:before:request", (e) => {
  const { ctx } = e.detail;
  if (isPoll(ctx)) return;
  ctx.target?.setAttribute("aria-busy", "true");
  inFlight++;
  setTimeout(() => inFlight && (document.documentElement.dataset.busy = ""), 200);
  ctx.counted = true;
});

document.addEventListener("htmx:finally:request", (e) => {
  const { ctx } = e.detail;
  ctx.target?.removeAttribute("aria-busy");
  if (ctx.counted && --inFlight === 0) delete document.documentElement.dataset.busy;
});

// 409 and 422 bring the form again. No other error may take the place of content, whoever sent it: it may be a proxy's page.
document.addEventListener("htmx:response:error", (e) => {
  const { ctx } = e.detail;
  const { hx, response, text } = ctx;
  if (hx.redirect) {
    for (const form of document.querySelectorAll("form[data-draft]")) form.dataset.leaving = ""; // the draft keeps what was typed
    return;
  }
  if (isPoll(ctx) && response.status === 503) {
    ctx.text = ""; // what the server says of it is for those who have done something
    hx.reswap = "none";
    failed(ctx, outOfDate);
    return;
  }
  const form = response.status === 409 || response.status === 422;
  if (!form || /^delete\b/.test(ctx.swap)) hx.reswap ??= "none";
  if (!form && !/hx-swap-oob/.test(text)) failed(ctx);
});

document.addEventListener("htmx:error", (e) => {
  const { ctx } = e.detail;
  if (ctx && !ctx.response) failed(ctx);
});

function failed(ctx, text = unreachable) {
  if (isPoll(ctx)) {
    ctx.target?.classList.add("stale");
    if (failing.has(ctx.sourceElement)) return;
    failing.add(ctx.sourceElement);
  }
  complain(text, isPoll(ctx) ? "poll" : "deed");
}

document.addEventListener("htmx:after:request", (e) => {
  const { ctx } = e.detail;
  if (ctx.response.status >= 400) return;
  if (!isPoll(ctx)) return withdraw("deed");
  ctx.target?.classList.remove("stale");
  failing.delete(ctx.sourceElement);
  for (const gone of failing) if (!gone.isConnected) failing.delete(gone);
  if (!failing.size) withdraw("poll");
});

// The focus must not fall to the top of the page because what held it was replaced, nor leave a field that someone types in.
const held = new WeakMap();
document.addEventListener("htmx:before:swap", (e) => {
  const { ctx, tasks } = e.detail;
  const active = document.activeElement;
  if (!active || active === document.body) return;
  const task = tasks.find((t) => t.target?.contains?.(active));
  held.set(ctx, { active, task, beside: task?.target.nextElementSibling ?? task?.target.previousElementSibling });
});
document.addEventListener("htmx:after:swap", (e) => {
  const { active, task, beside } = held.get(e.detail.ctx) ?? {};
  if (!active) return;
  const now = document.activeElement;
  if (!task) {
    if (now !== active && typing(active) && active.isConnected) active.focus({ preventScroll: true });
    return;
  }
  if (now && now !== document.body) return;
  const main = document.getElementById("main");
  const root = [task.target, beside, main].find((el) => el?.isConnected);
  const first = (selector) => [...root.querySelectorAll(selector)].find(visible);
  const next = first("[data-focus]") ?? first("a[href], button, summary, input:not([type=hidden]), select, textarea");
  (next ?? main).focus({ preventScroll: true });
});
