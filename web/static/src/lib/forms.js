// A form is sent once, and one with changes is not left by mistake.
import { changed, typed } from "./dom.js";

const buttons = (form) => [...form.elements].filter((el) => el.type === "submit" || el.type === "image");

/** Marks a form as being sent. aria-disabled, unlike disabled, keeps the focus where it is and the button's own value in the data. */
function hold(form) {
  form.dataset.sending = "";
  for (const b of buttons(form)) b.setAttribute("aria-disabled", "true");
}

function release(form) {
  delete form.dataset.sending;
  for (const b of buttons(form)) b.removeAttribute("aria-disabled");
}

/** True when leaving would lose what was typed: something differs from what the server sent, or the server refused it. */
export function dirty(form) {
  return typed(form).some((el) => changed(el) || el.ariaInvalid === "true");
}

/** From now on what stands in the form counts as saved. */
export function settle(form) {
  for (const el of typed(form)) {
    if (el.type === "checkbox" || el.type === "radio") el.defaultChecked = el.checked;
    else if (el.tagName === "SELECT") for (const o of el.options) o.defaultSelected = o.selected;
    else el.defaultValue = el.value;
  }
}

document.addEventListener("submit", (e) => {
  if (e.target.dataset.sending === undefined) return;
  e.preventDefault();
  e.stopImmediatePropagation();
}, true);

document.addEventListener("submit", (e) => {
  const form = e.target;
  const byHtmx = form.matches("[hx-post], [hx-get]");
  if ((e.defaultPrevented && !byHtmx) || form.getAttribute("method")?.toLowerCase() !== "post") return;
  hold(form);
  // A download leaves the page where it is and tells nobody. What it does twice, the server knows by the form's token.
  if (!byHtmx) setTimeout(() => release(form), 15_000);
});

addEventListener("pageshow", () => document.querySelectorAll("form[data-sending]").forEach(release));
document.addEventListener("htmx:finally:request", (e) => {
  const form = e.detail.ctx.request.form;
  if (form) release(form);
});

addEventListener("beforeunload", (e) => {
  for (const form of document.querySelectorAll("form[data-guard]")) {
    if (form.dataset.sending === undefined && form.dataset.leaving === undefined && dirty(form)) e.preventDefault();
  }
});
