// The theme changes at once; the server keeps the choice in a cookie.
import { complain, unreachable } from "./toasts.js";

document.addEventListener("submit", async (e) => {
  const form = e.target;
  if (!form.matches("[data-theme-form]")) return;
  e.preventDefault();
  const theme = e.submitter.value;
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  for (const button of form.elements) {
    if (button === e.submitter) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  try {
    await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form, e.submitter)), redirect: "manual" });
  } catch {
    complain(unreachable);
  }
});
