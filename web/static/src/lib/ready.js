// A page that could not be had because Redis was away is loaded again when the server is ready.
const every = 3000;
const waiting = document.querySelector("[data-ready]");

async function look() {
  const ready = !document.hidden && (await fetch(waiting.dataset.ready).then((answer) => answer.ok, () => false));
  if (ready) location.reload();
  else setTimeout(look, every);
}

if (waiting) setTimeout(look, every);
