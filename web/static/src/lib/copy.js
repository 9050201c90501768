// Copy buttons.

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Over plain http there is no clipboard object.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr-only";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

document.addEventListener("click", async (e) => {
  const button = e.target.closest("[data-copy]");
  if (!button) return;
  await copy(button.dataset.copy);
  button.focus();
  const name = button.title;
  button.dataset.copied = "";
  button.title = button.ariaLabel = "Copied";
  setTimeout(() => {
    delete button.dataset.copied;
    button.title = button.ariaLabel = name;
  }, 1500);
});
