// Put into every page that a test looks at closely: what it notes while the page comes, and what it finds on it.
(() => {
  const look = (window.look = { shifts: [], polls: [], started: 0, finished: 0 });

  // What moves without anybody having done something.
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.hadRecentInput) continue;
      const what = entry.sources.map(({ node }) => node?.outerHTML?.slice(0, 120) ?? node?.parentElement?.outerHTML.slice(0, 120));
      look.shifts.push({ value: entry.value, what });
    }
  }).observe({ type: "layout-shift", buffered: true });

  // Polls come when the test says so, not in the middle of what it looks at.
  const every = window.setInterval;
  window.setInterval = (fn, ms, ...args) => {
    if (ms > 5000) return every(fn, ms, ...args);
    look.polls.push(() => fn(...args));
    return every(() => {}, 1e9);
  };
  addEventListener("htmx:before:request", () => look.started++);
  addEventListener("htmx:finally:request", () => look.finished++);

  const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));

  /** Has what is live refreshed once, and waits until it stands. */
  look.refresh = async () => {
    await painted();
    for (const poll of look.polls.splice(0)) poll();
    await painted();
    while (look.finished < look.started) await painted();
    await painted();
  };

  /** What has moved so far, as a text; "" = nothing that anybody would see. */
  look.moved = () => {
    const sum = look.shifts.reduce((sum, s) => sum + s.value, 0);
    return sum < 0.01 ? "" : sum.toFixed(4) + ": " + look.shifts.flatMap((s) => s.what).join(" … ");
  };

  /** What does not fit the width of the screen. */
  look.wide = () => {
    const doc = document.documentElement;
    if (doc.scrollWidth <= innerWidth && innerWidth <= screen.width) return "";
    const out = [...document.querySelectorAll("body *")].filter((el) => el.checkVisibility() && el.getBoundingClientRect().right > screen.width + 1 && !el.closest(".scroll, pre, dialog"));
    return doc.scrollWidth + " of " + screen.width + ": " + out.slice(0, 4).map((el) => el.outerHTML.slice(0, 120)).join(" … ");
  };

  const cut = (el) => el.outerHTML.slice(0, 160);
  const shown = (el) => el.checkVisibility();

  /** What somebody who listens to the page would miss, beyond the rules of axe. */
  look.heard = () => {
    const wrong = [];
    const headings = [...document.querySelectorAll("h1")].filter(shown);
    if (headings.length !== 1) wrong.push(headings.length + " headings of the first level");
    for (const th of document.querySelectorAll("th:not([scope])")) wrong.push("a header without a scope: " + cut(th));
    for (const field of document.querySelectorAll("[aria-invalid=true]")) {
      const said = (field.getAttribute("aria-describedby") ?? "").split(" ").map((id) => document.getElementById(id)?.textContent.trim());
      if (!said.some(Boolean)) wrong.push("a field that is wrong and does not say how: " + cut(field));
    }
    for (const error of document.querySelectorAll(".field-error")) {
      const names = [...document.querySelectorAll("[aria-describedby]")].flatMap((el) => el.getAttribute("aria-describedby").split(" "));
      if (!names.some((id) => document.getElementById(id)?.contains(error))) wrong.push("an error that belongs to no field: " + cut(error));
    }
    for (const poll of document.querySelectorAll("[hx-trigger*=every], [data-tail-rows]")) {
      if (poll.closest("[aria-live]:not([aria-live=off]), [role=status], [role=alert], [role=log]")) wrong.push("what refreshes itself is announced each time: " + cut(poll));
    }
    return wrong;
  };

  /** What axe finds; only = the rules or the tags that it is to go by. */
  look.axe = async (only) => {
    const { violations } = await axe.run(document, { runOnly: only, resultTypes: ["violations"] });
    return violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.html.slice(0, 300) + "\n\t" + n.failureSummary));
  };
})();
