// Menus are <details>: one is open at a time, and a click elsewhere, Esc or leaving it closes it. Dialogs open from [data-dialog].
const open = () => document.querySelectorAll("details[data-menu][open]");

function close(except) {
  for (const menu of open()) {
    if (except && menu.contains(except)) continue;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus({ preventScroll: true });
    menu.open = false;
  }
}

document.addEventListener("click", (e) => {
  close(e.target.closest("details[data-menu] > summary") ?? undefined);
  const opener = e.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog).showModal();
  else if (e.target.matches("dialog")) e.target.close(); // the backdrop
});
document.addEventListener("focusin", (e) => close(e.target));
document.addEventListener("keydown", (e) => {
  const [menu] = open();
  if (!menu) return;
  const items = [...menu.querySelectorAll(".menu-item")].filter((el) => el.checkVisibility());
  const at = items.indexOf(document.activeElement);
  if (e.key === "Escape") close();
  else if (e.key === "ArrowDown") {
    items[(at + 1) % items.length]?.focus();
  } else if (e.key === "ArrowUp") {
    items[(at <= 0 ? items.length : at) - 1]?.focus();
  } else return;
  e.preventDefault();
  e.stopImmediatePropagation();
});
