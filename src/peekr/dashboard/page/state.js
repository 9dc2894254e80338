// Where the reader is, kept in the address: what is seen can be bookmarked, and Back works.

const FILTERS = ['status', 'model', 'tenant', 'feature', 'endpoint', 'variant', 'user', 'cut', 'q', 'from', 'to'];
const VIEWS = ['overview', 'traces', 'cost', 'quality', 'sessions'];

let at = parse(location.hash);

function parse(hash) {
  const [path, query] = hash.replace(/^#\/?/, '').split('?');
  const [view, ...rest] = path.split('/').map(safeDecode);
  const options = {};
  for (const [key, value] of new URLSearchParams(query || '')) options[key] = value;
  const known = [...VIEWS, 'trace', 'session', 'about'].includes(view) ? view : 'overview';
  return {view: known, id: rest[0] || '', span: rest[1] || '', options};
}

function safeDecode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function address(view, options, id, span) {
  const path = [view, id, span].filter(Boolean).map(encodeURIComponent).join('/');
  const query = new URLSearchParams(Object.entries(options || {}).filter(([, v]) => v !== '' && v !== undefined && v !== null)).toString();
  return `#/${path}${query ? `?${query}` : ''}`;
}

/** The filters alone, which every view keeps. */
function filters() {
  return Object.fromEntries(FILTERS.filter((key) => at.options[key]).map((key) => [key, at.options[key]]));
}

function go(view, options, id, span) {
  location.hash = address(view, {...filters(), ...options}, id, span);
}

/** Change options of the present view. */
function change(options, replace) {
  const made = {...at.options, ...options};
  for (const key of Object.keys(made)) if (made[key] === '' || made[key] === null) delete made[key];
  const hash = address(at.view, made, at.id, at.span);
  if (!replace) location.hash = hash;
  else {
    history.replaceState(null, '', hash);
    trail[trail.length - 1].hash = hash;
    at = parse(hash);
    draw();
  }
}

function to(view, options, id, span) {
  return address(view, {...filters(), ...options}, id, span);
}
