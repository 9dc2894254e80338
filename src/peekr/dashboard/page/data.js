// What Python wrote: the core at once, the rest when somebody needs it.

const core = JSON.parse(document.getElementById('core').textContent);
const DIMENSIONS = {m: 'model', te: 'tenant', fe: 'feature', en: 'endpoint', va: 'variant', us: 'user', na: 'name'};
const KEY_OF = Object.fromEntries(Object.entries(DIMENSIONS).map(([key, name]) => [name, key]));
const canUnpack = typeof DecompressionStream === 'function';
const opened = new Map();

/** The JSON of a packed block; null where there is none. */
function unpack(name) {
  if (!opened.has(name)) opened.set(name, read(name));
  return opened.get(name);
}

async function read(name) {
  const element = document.getElementById(name);
  if (!element || !canUnpack) return null;
  const binary = atob(element.textContent.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return JSON.parse(await new Response(stream).text());
}

let facts = null;
let list = null;
let scores = null;
let marginals = null; // each value of a dimension alone, over every call; only where facts are a sample

async function load() {
  [facts, list, marginals, scores] = await Promise.all(['facts', 'traces', 'marginals', 'scores'].map(unpack));
  if (facts) for (const key of ['t', 'd', 'f', 'in', 'out', 'ca', 're', 'c']) facts[key] = Float64Array.from(facts[key]);
  if (list) list.row = new Map(list.id.map((id, row) => [id, row]));
}

/** The whole of a trace, null where it is not in the page. */
async function detail(id) {
  const row = list ? list.row.get(id) : undefined;
  if (row === undefined || list.block[row] < 0) return null;
  const block = await unpack(`details-${list.block[row]}`);
  return block ? block[list.place[row]] : null;
}

function nameOf(dimension, number) {
  return core.dims[dimension][number] ?? '';
}
