// Times are written in UTC by the server; here they become local, and relative where that says more.
import { all, onContent } from "./dom.js";

const ago = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const steps = [["day", 86400], ["hour", 3600], ["minute", 60]];
const two = (n) => String(n).padStart(2, "0");

function day(t) {
  return `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;
}

function stamp(t) {
  return `${day(t)} ${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

function zone(t) {
  return new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(t).find((p) => p.type === "timeZoneName").value;
}

function words(t, now) {
  const s = Math.round((t - now) / 1000);
  for (const [unit, length] of steps) {
    if (Math.abs(s) >= length) {
      if (unit === "day" && Math.abs(s) > 30 * length) return day(t);
      return ago.format(Math.trunc(s / length), unit);
    }
  }
  return s > 0 ? "in a moment" : "just now";
}

function show(root) {
  const now = Date.now();
  for (const el of all(root, "time[data-time]")) {
    const t = new Date(el.dateTime);
    if (isNaN(t)) continue;
    const text = el.dataset.time === "stamp" ? stamp(t) : words(t, now);
    if (el.textContent !== text) el.textContent = text;
    el.title = `${stamp(t)} ${zone(t)}`;
  }
}

// Where the server counts by days and weeks it takes those of this zone.
document.cookie = `tz=${encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone)}; path=/; max-age=31536000; samesite=lax`;

onContent(show);
setInterval(() => document.hidden || show(document), 60_000);
document.addEventListener("visibilitychange", () => document.hidden || show(document));
