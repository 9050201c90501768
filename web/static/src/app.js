// What the pages do beyond HTML. They all work without it.
import "htmx.org";
import "./lib/fragments.js";
import "./lib/forms.js";
import "./lib/copy.js";
import "./lib/drafts.js";
import "./lib/drop.js";
import "./lib/keys.js";
import "./lib/lines.js";
import "./lib/menus.js";
import "./lib/ready.js";
import "./lib/theme.js";
import "./lib/times.js";
import "./lib/toasts.js";
import "./lib/zoom.js";
