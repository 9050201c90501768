// Values of several lines. In a textarea[data-enter] Enter saves and Shift+Enter adds a line. An input drops line ends, so an
// input[data-lines] becomes a text area when someone presses Shift+Enter in it or pastes several lines.

function grow(input, text) {
  const area = document.createElement("textarea");
  for (const { name, value } of input.attributes) {
    if (!["type", "value", "list", "autofocus", "data-htmx-powered"].includes(name)) area.setAttribute(name, value);
  }
  area.className = input.className.replace(/\binput\b/, "textarea");
  area.rows = 2;
  area.dataset.enter = "";
  area.defaultValue = input.defaultValue;
  const { value, selectionStart: from, selectionEnd: to } = input;
  area.value = value.slice(0, from) + text + value.slice(to);
  input.replaceWith(area);
  area.focus();
  area.setSelectionRange(from + text.length, from + text.length);
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

document.addEventListener("keydown", (e) => {
  if (e.key !== "Enter" || e.isComposing || e.defaultPrevented) return;
  if (e.shiftKey && e.target.matches("input[data-lines]:not([readonly])")) {
    e.preventDefault();
    grow(e.target, "\n");
  } else if (!e.shiftKey && e.target.matches("textarea[data-enter]")) {
    e.preventDefault();
    [...e.target.form.elements].find((el) => el.type === "submit")?.click(); // what Enter does in an input
  }
});

document.addEventListener("paste", (e) => {
  const text = e.clipboardData?.getData("text/plain").replace(/\r\n?/g, "\n").replace(/\n$/, "") ?? ""; // a copied cell ends with one
  if (!text.includes("\n") || !e.target.matches?.("input[data-lines]:not([readonly])")) return;
  e.preventDefault();
  grow(e.target, text);
});
