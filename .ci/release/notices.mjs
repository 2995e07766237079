// notices.mjs TARGET: prints the licences of the crates that the binary for this target is built from, with their texts.

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

const [target] = process.argv.slice(2);
if (!target) throw new Error("name the target");

const arguments_ = ["metadata", "--format-version", "1", "--locked", "--filter-platform", target];
const metadata = JSON.parse(execFileSync("cargo", arguments_, { maxBuffer: 1 << 28, encoding: "utf8" }));
const packages = new Map(metadata.packages.map((it) => [it.id, it]));
const nodes = new Map(metadata.resolve.nodes.map((it) => [it.id, it]));

// What the binary links: neither build scripts nor tests, and no macro runs in it.
function linked(root) {
  const found = new Set();
  const open = [root];
  while (open.length > 0) {
    const id = open.pop();
    if (found.has(id)) continue;
    found.add(id);
    const normal = nodes.get(id).deps.filter((it) => it.dep_kinds.some(({ kind }) => kind === null));
    const libraries = normal.filter((it) => !isMacro(packages.get(it.pkg)));
    open.push(...libraries.map((it) => it.pkg));
  }
  found.delete(root);
  return [...found].map((id) => packages.get(id));
}

function isMacro(it) {
  return it.targets.some(({ kind }) => kind.includes("proc-macro"));
}

// The texts at the root of the crate.
function texts(it) {
  const folder = dirname(it.manifest_path);
  const named = readdirSync(folder).filter((name) => /^(licen[cs]e|copying|copyright|notice)/i.test(name));
  const files = named.sort().map((name) => join(folder, name));
  if (it.license_file) files.push(join(folder, it.license_file));
  const readable = [...new Set(files)].filter((file) => existsSync(file) && statSync(file).isFile());
  return readable.map((file) => readFileSync(file, "utf8").trim());
}

const title = (it) => `${it.name} ${it.version}`;
const crates = linked(metadata.resolve.root).sort((one, other) => (title(one) < title(other) ? -1 : 1));

// Most have the same few texts: each is printed once.
const owners = new Map();
for (const it of crates) {
  for (const text of texts(it)) owners.set(text, [...(owners.get(text) ?? []), title(it)]);
}
const list = crates.map((it) => `${title(it)}: ${it.license ?? "see its text"}`).join("\n");
const sections = [...owners].map(([text, names]) => `${names.join(", ")}:\n\n${text}`);
const heading = `coordinator for ${target} contains ${crates.length} crates under these licences:`;
console.log([`${heading}\n\n${list}`, ...sections].join(`\n\n${"-".repeat(100)}\n\n`));
