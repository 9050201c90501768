// Files dropped on a file field.
import { all, onContent } from "./dom.js";

onContent((root) => {
  for (const input of all(root, "input[type=file][data-drop]")) {
    const zone = input.closest("[data-drop-zone]") ?? input.closest(".panel") ?? input;
    if (zone.dataset.dropReady) continue;
    zone.dataset.dropReady = "true";
    const mark = (on) => zone.classList.toggle("dropping", on);
    zone.addEventListener("dragover", (e) => {
      if (![...e.dataTransfer.types].includes("Files")) return;
      e.preventDefault();
      mark(true);
    });
    zone.addEventListener("dragleave", (e) => zone.contains(e.relatedTarget) || mark(false));
    zone.addEventListener("drop", (e) => {
      mark(false);
      if (!e.dataTransfer.files.length) return;
      e.preventDefault();
      const files = new DataTransfer();
      for (const file of input.multiple ? e.dataTransfer.files : [e.dataTransfer.files[0]]) files.items.add(file);
      input.files = files.files;
      input.dispatchEvent(new Event("input", { bubbles: true }));
      input.dispatchEvent(new Event("change", { bubbles: true }));
      input.focus();
    });
  }
});

// A file dropped beside the zone would replace the page.
for (const type of ["dragover", "drop"]) {
  document.addEventListener(type, (e) => {
    if (!e.defaultPrevented && document.querySelector("input[data-drop]") && [...e.dataTransfer.types].includes("Files")) e.preventDefault();
  });
}
