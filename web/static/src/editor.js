// The code editor in place of textarea[data-editor]. Without it the text area does all of this but for the marks.
//
// The text area stays what is sent: it always holds the text. Around it:
//   input#breakpoints       the lines with a breakpoint, with commas between; a change sends "editor:breakpoints" from the text area
//   [data-editor-line="8"]  anywhere on the page: the line that is marked; it is asked for again after each swap
//   [data-goto="8:5"]       leads to a line and column
//   data-check="/path"      of the text area: takes the form as it is typed, and answers with the new #problems
//   [data-problem="8:5"]    in #problems: a finding, its message the text of [data-message]; data-kind is error or warning
//   [data-save] [data-run]  the buttons that Ctrl+S and Ctrl+Enter click
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { lua } from "@codemirror/legacy-modes/mode/lua";
import { nextDiagnostic, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState, RangeSet, StateEffect, StateField } from "@codemirror/state";
import {
  Decoration, drawSelection, EditorView, gutter, GutterMarker, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers, placeholder,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import "./lib/debug.js";

// Breakpoints stay with their lines while text is typed above them.
const toggleBreakpoint = StateEffect.define({ map: (pos, changes) => changes.mapPos(pos) });
const dot = new (class extends GutterMarker {
  toDOM() {
    const el = document.createElement("span");
    el.className = "cm-breakpoint";
    return el;
  }
})();
const breakpoints = StateField.define({
  create: () => RangeSet.empty,
  update(set, tr) {
    if (tr.docChanged) {
      // The dot of a line goes to where that line begins now; of several that come together one stays.
      const at = new Set();
      for (let it = set.iter(); it.value; it.next()) at.add(tr.newDoc.lineAt(tr.changes.mapPos(it.from, 1)).from);
      set = RangeSet.of([...at].sort((a, b) => a - b).map((pos) => dot.range(pos)));
    }
    for (const effect of tr.effects) {
      if (!effect.is(toggleBreakpoint)) continue;
      let there = false;
      set.between(effect.value, effect.value, () => void (there = true));
      set = there ? set.update({ filter: (from) => from !== effect.value }) : set.update({ add: [dot.range(effect.value)] });
    }
    return set;
  },
});

function breakpointLines(state) {
  const lines = [];
  for (let it = state.field(breakpoints).iter(); it.value; it.next()) lines.push(state.doc.lineAt(it.from).number);
  return lines;
}

const toggleAt = (view, line) => {
  view.dispatch({ effects: toggleBreakpoint.of(line.from) });
  return true;
};

// The line that something on the page is about.
const setMarked = StateEffect.define();
const markedLine = Decoration.line({ class: "cm-marked" });
const marked = StateField.define({
  create: () => Decoration.none,
  update(set, tr) {
    set = set.map(tr.changes);
    for (const effect of tr.effects) {
      if (effect.is(setMarked)) set = Decoration.set(effect.value.filter((n) => n <= tr.newDoc.lines).map((n) => markedLine.range(tr.newDoc.line(n).from)));
    }
    return set;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.controlKeyword, tags.operatorKeyword], color: "var(--color-primary)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--color-success)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--color-accent)" },
  { tag: tags.comment, color: "var(--quiet)", fontStyle: "italic" },
  { tag: tags.standard(tags.variableName), color: "var(--color-info)" },
]);

const look = EditorView.theme({
  "&": { backgroundColor: "var(--color-base-100)", color: "var(--ink)" },
  "&.cm-focused": { outline: "2px solid var(--ring)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", fontSize: "inherit", lineHeight: "inherit", overflow: "auto" },
  ".cm-content": { padding: ".5rem 0", caretColor: "var(--ink)" },
  ".cm-line": { padding: "0 .8rem 0 .4rem" },
  ".cm-gutters": { backgroundColor: "var(--color-base-100)", color: "var(--quiet)", border: "none" },
  ".cm-lineNumbers .cm-gutterElement": { padding: "0 .4rem 0 .1rem", minWidth: "2rem", cursor: "pointer" },
  ".cm-breakpoints .cm-gutterElement": { width: "1.1rem", cursor: "pointer", display: "grid", placeItems: "center" },
  ".cm-breakpoint": { width: ".62rem", height: ".62rem", borderRadius: "50%", background: "var(--color-error)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in oklab, var(--ink) 3.5%, transparent)" },
  "&:not(.cm-focused) .cm-activeLine": { backgroundColor: "transparent" },
  "&:not(.cm-focused) .cm-activeLineGutter": { color: "inherit" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--ink)" },
  ".cm-marked, &:not(.cm-focused) .cm-marked, .cm-activeLine.cm-marked": { backgroundColor: "color-mix(in oklab, var(--color-warning) 18%, transparent)" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "color-mix(in oklab, var(--color-primary) 24%, transparent)" },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in oklab, var(--color-primary) 13%, transparent)" },
  ".cm-searchMatch": { backgroundColor: "color-mix(in oklab, var(--color-warning) 35%, transparent)", outline: "none" },
  ".cm-searchMatch-selected": { backgroundColor: "color-mix(in oklab, var(--color-warning) 70%, transparent)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "color-mix(in oklab, var(--color-success) 22%, transparent)" },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "color-mix(in oklab, var(--color-error) 22%, transparent)" },
  ".cm-placeholder": { color: "var(--quiet)" },
  ".cm-specialChar": { color: "var(--color-error)" },
  ".cm-panels": { backgroundColor: "var(--color-base-200)", color: "var(--ink)", zIndex: "4" },
  ".cm-panels.cm-panels-bottom": { borderTop: "1px solid var(--hair)" },
  ".cm-panel.cm-search": { padding: ".4rem 2rem .4rem .6rem", fontFamily: "ui-sans-serif, system-ui, sans-serif" },
  ".cm-panel.cm-search label": { fontSize: ".82rem" },
  ".cm-textfield": { backgroundColor: "var(--color-base-100)", border: "1px solid var(--field)", borderRadius: "var(--radius-field)", color: "inherit", fontSize: ".87rem", padding: ".1rem .4rem" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--color-base-100)", border: "1px solid var(--hair)", borderRadius: "var(--radius-field)", color: "inherit", fontSize: ".82rem" },
  ".cm-panel.cm-search [name=close]": { color: "inherit", fontSize: "1.1rem", right: ".5rem" },
  ".cm-tooltip": { backgroundColor: "var(--color-base-100)", border: "1px solid var(--edge)", borderRadius: "var(--radius-field)" },
  ".cm-diagnostic": { padding: ".2rem .6rem", maxWidth: "32rem" },
  ".cm-diagnostic-error": { borderLeft: "3px solid var(--color-error)" },
  ".cm-diagnostic-warning": { borderLeft: "3px solid var(--color-warning)" },
  ".cm-lintRange-error, .cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy 1px", textUnderlineOffset: "3px" },
  ".cm-lintRange-error": { textDecorationColor: "var(--color-error)" },
  ".cm-lintRange-warning": { textDecorationColor: "var(--color-warning)" },
  ".cm-lintPoint-error:after": { borderBottomColor: "var(--color-error)" },
  ".cm-lintPoint-warning:after": { borderBottomColor: "var(--color-warning)" },
});

const nonce = document.currentScript?.nonce ?? "";

/** The place of "8:5" in the text, within the text. */
function place(doc, text) {
  const [line, column] = text.split(":").map(Number);
  if (!line) return null;
  const l = doc.line(Math.min(line, doc.lines));
  return { line: l, pos: Math.min(l.from + Math.max((column || 1) - 1, 0), l.to), column };
}

function edit(area) {
  const form = area.form;
  const kept = form.querySelector("#breakpoints");
  let own = false; // the change in hand is ours

  const view = new EditorView({
    doc: area.value,
    extensions: [
      nonce ? EditorView.cspNonce.of(nonce) : [],
      EditorState.readOnly.of(area.readOnly),
      gutter({
        class: "cm-breakpoints",
        markers: (v) => v.state.field(breakpoints),
        initialSpacer: () => dot,
        domEventHandlers: { mousedown: toggleAt },
      }),
      lineNumbers({ domEventHandlers: { mousedown: toggleAt } }),
      breakpoints,
      marked,
      history(),
      drawSelection(),
      highlightSpecialChars(),
      area.readOnly ? [] : [highlightActiveLine(), highlightActiveLineGutter()],
      highlightSelectionMatches({ minSelectionLength: 2 }),
      bracketMatching(),
      indentOnInput(),
      indentUnit.of("    "),
      EditorState.tabSize.of(4),
      StreamLanguage.define(lua),
      syntaxHighlighting(colours),
      area.placeholder ? placeholder(area.placeholder) : [],
      keymap.of([
        { key: "F8", run: nextDiagnostic },
        { key: "F9", run: (v) => toggleAt(v, v.state.doc.lineAt(v.state.selection.main.head)) },
        indentWithTab,
        ...searchKeymap,
        ...historyKeymap,
        ...defaultKeymap.filter((k) => k.key !== "Mod-Enter"),
      ]),
      EditorView.contentAttributes.of({ tabindex: "0", "aria-label": area.labels?.[0]?.textContent.trim() || "Text", spellcheck: "false", autocorrect: "off", autocapitalize: "off" }),
      EditorView.updateListener.of(changed),
      look,
    ],
  });

  const height = area.offsetHeight;
  area.before(view.dom);
  view.dom.style.height = height + "px";
  area.hidden = true;
  if (area.autofocus || document.activeElement === area) view.focus();

  function changed(update) {
    if (update.docChanged && !own) {
      own = true;
      area.value = update.state.doc.toString();
      area.dispatchEvent(new Event("input", { bubbles: true })); // drafts, and whoever else listens
      own = false;
    }
    const before = update.startState.field(breakpoints), after = update.state.field(breakpoints);
    if (before !== after && kept) {
      const lines = breakpointLines(update.state);
      const text = lines.join(",");
      if (kept.value !== text) {
        kept.value = text;
        area.dispatchEvent(new CustomEvent("editor:breakpoints", { bubbles: true, detail: { lines } }));
      }
    }
  }

  // Somebody else has changed the text: a draft that is put back, a form that is reset.
  function pull() {
    if (own || area.value === view.state.doc.toString()) return;
    own = true;
    view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: area.value } });
    own = false;
  }
  area.addEventListener("input", pull);
  form.addEventListener("reset", () => setTimeout(pull));
  area.addEventListener("focus", () => view.focus());

  if (kept?.value) {
    const lines = kept.value.split(",").map(Number).filter((n) => n >= 1 && n <= view.state.doc.lines);
    view.dispatch({ effects: lines.map((n) => toggleBreakpoint.of(view.state.doc.line(n).from)) });
  }

  // Problems are marked where they are.
  function diagnose() {
    const { doc } = view.state;
    const found = [...document.querySelectorAll("#problems [data-problem]")].flatMap((el) => {
      const at = place(doc, el.dataset.problem);
      if (!at) return [];
      const word = /^[\w.]+/.exec(doc.sliceString(at.pos, at.line.to))?.[0].length ?? 0;
      const [from, to] = at.column ? [at.pos, at.pos + word] : [at.line.from + /^\s*/.exec(at.line.text)[0].length, at.line.to];
      return [{ from, to, severity: el.dataset.kind, message: el.querySelector("[data-message]")?.textContent ?? "" }];
    });
    view.dispatch(setDiagnostics(view.state, found));
  }
  diagnose();

  // The check asks after a pause in typing. Only the answer to the last question counts.
  let timer, asking;
  async function check() {
    asking?.abort();
    asking = new AbortController();
    try {
      const answer = await fetch(area.dataset.check, {
        method: "POST",
        headers: { "HX-Request": "true", "HX-Request-Type": "partial", "HX-Current-URL": location.href },
        body: new URLSearchParams({ source: area.value }),
        signal: asking.signal,
      });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("problems");
      const shown = document.getElementById("problems");
      if (!fresh || !shown) return;
      const open = shown.querySelector("details")?.open;
      if (open && fresh.querySelector("details")) fresh.querySelector("details").open = true;
      shown.replaceWith(document.adoptNode(fresh));
      diagnose();
    } catch {
      // Away: what is shown stays, and the next change asks again.
    }
  }
  if (area.dataset.check && !area.readOnly) {
    area.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(check, 500);
    });
  }

  // The button says whether there is something to save.
  function saveState() {
    const button = form.querySelector("[data-save]");
    if (!button?.dataset.saved || form.dataset.sending !== undefined) return;
    const clean = area.value === area.defaultValue;
    button.toggleAttribute("data-clean", clean);
    if (clean) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
    button.querySelector("span:last-child").textContent = clean ? button.dataset.saved : button.dataset.save;
  }
  area.addEventListener("input", saveState);
  form.addEventListener("click", (e) => {
    if (e.target.closest("[data-save][data-clean]")) e.preventDefault();
  });
  saveState();

  let markedNow = "";
  function markLines() {
    const lines = [...document.querySelectorAll("[data-editor-line]")].map((el) => Number(el.dataset.editorLine)).filter((n) => n > 0).sort((a, b) => a - b);
    if (lines.join() === markedNow) return;
    markedNow = lines.join();
    const effects = [setMarked.of(lines)];
    if (lines.length && lines[0] <= view.state.doc.lines) effects.push(EditorView.scrollIntoView(view.state.doc.line(lines[0]).from, { y: "nearest", yMargin: 60 }));
    view.dispatch({ effects });
  }
  markLines();

  document.addEventListener("htmx:after:swap", () => {
    markLines();
    diagnose();
    saveState();
  });
  document.addEventListener("htmx:finally:request", () => setTimeout(saveState));

  document.addEventListener("click", (e) => {
    const link = e.target.closest("[data-goto]");
    const at = link && place(view.state.doc, link.dataset.goto);
    if (!at) return;
    e.preventDefault();
    link.closest("details")?.removeAttribute("open");
    view.dispatch({ selection: { anchor: at.pos }, effects: EditorView.scrollIntoView(at.pos, { y: "center" }) });
    view.focus();
  });
}

document.addEventListener("keydown", (e) => {
  if (!(e.ctrlKey || e.metaKey) || e.altKey || e.isComposing) return;
  const button = document.querySelector({ s: "[data-save]", Enter: "[data-run]" }[e.key] ?? ":not(*)");
  if (!button || document.querySelector("dialog[open]")) return;
  e.preventDefault();
  button.click();
});

for (const area of document.querySelectorAll("textarea[data-editor]")) edit(area);
