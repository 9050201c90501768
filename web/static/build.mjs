// Builds dist/ from src/: every src/*.css through Tailwind, every src/*.js with what it imports through esbuild, all else copied;
// beside each file its .br and .gz. Run from anywhere: node web/static/build.mjs
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

const require = createRequire(import.meta.url);
const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "../..");
const src = join(here, "src");
const dist = join(here, "dist");
const out = mkdtempSync(join(tmpdir(), "assets-")); // dist changes only when all is done, so that a build that fails breaks nothing

// An icon is a class made from its name, so Tailwind cannot see it in the templates. Where components take a name, it stands there as a literal.
const iconPatterns = [
  /\bIcon\(\s*"([a-z0-9-]+)"/g,
  /\b[Ii]con:\s*"([a-z0-9-]+)"/g,
  /\bEmpty\(\s*"([a-z0-9-]+)"/g,
  /\b(?:Submit|LinkButton|MenuSubmit)\(\s*"[a-z]+",\s*(?:"[^"]*"|[^,"]+),\s*"([a-z0-9-]+)"/g,
  /\b(?:IconLink|IconSubmit|MenuLink)\(\s*(?:"[^"]*"|[^,"]+)(?:\s*\+\s*[^,]+)?,\s*"([a-z0-9-]+)"/g,
  /\bthemeChoice\([^)]*"([a-z0-9-]+)"\)/g,
];

function icons() {
  const set = JSON.parse(readFileSync(require.resolve("@iconify-json/lucide/icons.json"), "utf8"));
  const found = new Set();
  for (const dir of ["web/templates", "internal/handlers"]) {
    for (const name of readdirSync(join(root, dir), { recursive: true })) {
      if (!/\.(templ|go)$/.test(name) || /_(templ|test)\.go$/.test(name)) continue;
      const text = readFileSync(join(root, dir, name), "utf8").replace(/^\s*\/\/.*/gm, "");
      for (const pattern of iconPatterns) {
        for (const [, icon] of text.matchAll(pattern)) {
          if (!set.icons[icon] && !set.aliases[icon]) throw new Error(`${dir}/${name}: lucide has no icon "${icon}"`);
          found.add(icon);
        }
      }
    }
  }
  return [...found].sort();
}

function css(name) {
  const text = readFileSync(join(src, name), "utf8");
  const safelist = name === "app.css" ? `@source inline("${icons().map((icon) => "lucide--" + icon).join(" ")}");` : "";
  execFileSync(process.execPath, [join(root, "node_modules/@tailwindcss/cli/dist/index.mjs"), "-i", "-", "-o", join(out, name), "--minify"], {
    cwd: src, // what @source is relative to
    input: text + safelist,
    stdio: ["pipe", "ignore", "inherit"],
  });
}

function compress(name) {
  const plain = readFileSync(join(out, name));
  const br = brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length } });
  const gz = gzipSync(plain, { level: 9 });
  if (br.length < plain.length) writeFileSync(join(out, name + ".br"), br);
  if (gz.length < plain.length) writeFileSync(join(out, name + ".gz"), gz);
  console.log(`${name.padEnd(16)} ${String(plain.length).padStart(7)} B  gz ${String(gz.length).padStart(6)} B  br ${String(br.length).padStart(6)} B`);
}

try {
  const files = readdirSync(src, { withFileTypes: true }).filter((f) => f.isFile()).map((f) => f.name);
  await esbuild.build({
    entryPoints: files.filter((name) => extname(name) === ".js").map((name) => join(src, name)),
    outdir: out,
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    legalComments: "none",
    logLevel: "warning",
  });
  for (const name of files) {
    if (extname(name) === ".css") css(name);
    else if (extname(name) !== ".js") cpSync(join(src, name), join(out, name));
  }
  for (const name of readdirSync(out)) compress(name);

  mkdirSync(dist, { recursive: true });
  const built = readdirSync(out);
  for (const name of readdirSync(dist)) {
    if (name !== ".keep" && !built.includes(name)) rmSync(join(dist, name), { recursive: true });
  }
  for (const name of built) cpSync(join(out, name), join(dist, name));
} finally {
  rmSync(out, { recursive: true });
}
