// Messages go away by themselves, but not while someone reads them; errors stay until closed.
const box = document.getElementById("toasts");
const stay = { success: 6000, info: 6000, warning: 12000 };

function arm(toast) {
  for (const other of box.children) {
    if (other !== toast && other.textContent === toast.textContent) other.remove();
  }
  const wait = stay[toast.dataset.toast];
  if (!wait) return;
  const leave = () => {
    if (document.hidden || box.matches(":hover, :focus-within")) setTimeout(leave, 1500);
    else toast.remove();
  };
  setTimeout(leave, toast.querySelector("a") ? wait * 2 : wait);
}

/** Shows an error that the server has not put in words: of something that a person did, or of a poll. */
export function complain(text, of = "deed") {
  const toast = document.getElementById("toast-error").content.firstElementChild.cloneNode(true);
  toast.querySelector(".toast-text").textContent = text;
  toast.dataset.complaint = of;
  box.append(toast);
}

/** Takes such errors away: the server has answered since. A poll that works says nothing of a deed that failed. */
export function withdraw(of) {
  for (const toast of box.querySelectorAll(of === "poll" ? "[data-complaint=poll]" : "[data-complaint]")) toast.remove();
}

export const outOfDate = "Redis does not answer. What you see may be out of date; this page asks again by itself.";
export const unreachable = "The server could not be reached. Nothing is known to have changed; try again or reload.";

[...box.children].forEach(arm);
new MutationObserver((changes) => {
  for (const c of changes) for (const node of c.addedNodes) if (node.matches?.("[data-toast]")) arm(node);
}).observe(box, { childList: true });
box.addEventListener("click", (e) => {
  if (!e.target.closest("[data-close]")) return;
  e.target.closest("[data-toast]").remove();
  (box.querySelector("[data-close]") ?? document.getElementById("main")).focus({ preventScroll: true });
});
