// Shared by the other modules.

/** Calls fn with every piece of content: the page itself, and later each root that htmx has put in. */
export function onContent(fn) {
  fn(document);
  document.addEventListener("htmx:after:process", (e) => fn(e.target));
}

/** Elements below root, or root itself, that match. */
export function all(root, selector) {
  const found = [...root.querySelectorAll(selector)];
  if (root.matches?.(selector)) found.unshift(root);
  return found;
}

/** True when the key belongs to what the person is typing. */
export function typing(target) {
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName ?? "");
}

export const visible = (el) => el.checkVisibility?.({ visibilityProperty: true }) ?? el.offsetParent !== null;

/** The fields of a form that a person fills in. */
export function typed(form) {
  return [...form.elements].filter((el) => el.name && !["hidden", "password", "file", "submit", "button", "image"].includes(el.type));
}

/** True when a field differs from what the server sent. */
export function changed(el) {
  if (el.type === "checkbox" || el.type === "radio") return el.checked !== el.defaultChecked;
  if (el.tagName === "SELECT") {
    const options = [...el.options];
    const sent = options.some((o) => o.defaultSelected) || el.multiple;
    return sent ? options.some((o) => o.selected !== o.defaultSelected) : el.selectedIndex > 0; // with none marked the browser takes the first
  }
  return el.value !== el.defaultValue;
}
