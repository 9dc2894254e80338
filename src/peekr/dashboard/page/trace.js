// One trace: where the time went, what failed first, what was said.

const FOLD = 4;
let chosenSpan = null;
let onlyCalls = false;

async function traceView() {
  const id = at.id;
  const found = await detail(id);
  if (at.view !== 'trace' || at.id !== id) return null; // the reader has gone on meanwhile
  if (!found) {
    const row = list ? list.row.get(id) : undefined;
    const known = row === undefined ? null : h('p', {}, said(list.name[row]), `, ${took(list.d[row])}, ${plural(list.spans[row], 'span')}`);
    return [h('h2', {}, 'Trace ', h('span', {class: 'mono'}, id)), empty('This trace is not in the page. The file has it:', known, code(`peekr view ${core.file} --trace ${id} --io`))];
  }
  const spans = found.spans;
  const total = Math.max(...spans.map((span) => span.t + (span.d || 0)), 0.001);
  found.total = total;
  linkUp(found);
  const first = spans.findIndex((span) => span.err && !span.below.some((child) => spans[child].err));
  const asked = spans.findIndex((span) => span.id === at.span);
  chosenSpan = asked >= 0 ? asked : first >= 0 ? first : 0;
  const side = h('div', {class: 'detail panel', id: 'detail', tabindex: '-1', 'aria-label': 'Span'});
  const rows = visibleRows(found);
  const grid = windowed(rows, 28, (row, place) => spanLine(found, row, place, side), 'spans');
  grid.classList.add('spans');
  const choose = (index, focus) => {
    chosenSpan = index;
    showSpan(found, index, side);
    for (const line of grid.querySelectorAll('.span')) line.setAttribute('aria-selected', String(Number(line.dataset.span) === index));
    const address_ = address('trace', at.options, id, spans[index].id);
    history.replaceState(null, '', address_);
    trail[trail.length - 1].hash = address_;
    const place = grid.rows.findIndex((row) => row.span === index);
    if (focus && place >= 0) grid.reveal(place);
  };
  found.choose = choose;
  found.grid = grid;
  found.refill = () => {
    grid.rows = visibleRows(found);
    draw();
  };
  current = found;
  showSpan(found, chosenSpan, side);
  requestAnimationFrame(() => {
    const place = rows.findIndex((row) => row.span === chosenSpan);
    if (place > 0) grid.scrollTop = Math.max(0, place * 28 - grid.clientHeight / 3);
    grid.fill();
    if (focusPlace !== null) grid.reveal(Math.min(rows.length - 1, focusPlace));
    focusPlace = null;
  });
  return [traceHead(found), h('div', {class: 'split'},
    h('section', {class: 'panel tree-panel'},
      h('div', {class: 'head'}, h('h3', {}, 'Spans'), h('label', {class: 'check'}, h('input', {type: 'checkbox', checked: onlyCalls, onchange: (event) => {
        onlyCalls = event.target.checked;
        draw();
      }}), ' LLM and tools only')),
      axis(total),
      h('div', {role: 'treegrid', 'aria-label': 'Spans of the trace'}, grid),
      found.omitted ? h('p', {class: 'note'}, `${plural(found.omitted, 'span')} of this trace are not in the page; peekr view shows them`) : null,
      h('p', {class: 'note'}, 'Underlined: the critical path, from timing alone. Hatched: before the first token. Darker: the span\u2019s own time.')),
    side)];
}

let current = null;

function linkUp(found) {
  if (found.linked) return;
  found.linked = true;
  found.spans.forEach((span, i) => {
    span.below = [];
    span.depth = span.p >= 0 ? found.spans[span.p].depth + 1 : 0;
    if (span.p >= 0) found.spans[span.p].below.push(i);
  });
  // The red line: from each failure up to the root.
  for (const span of found.spans) {
    if (!span.err) continue;
    let above = span;
    while (above && !above.path) {
      above.path = true;
      above = above.p >= 0 ? found.spans[above.p] : null;
    }
  }
  found.results = new Map();
  found.spans.forEach((span, i) => {
    const id = span.attrs && span.attrs['gen_ai.tool.call.id'];
    if (id) found.results.set(id, i);
  });
}

function traceHead(found) {
  const {spans} = found;
  const root = spans[0];
  const row = list.row.get(found.id);
  const isCut = found.omitted && row !== undefined;
  const failed = isCut ? list.errors[row] : spans.filter((span) => span.err).length;
  const state = root.err ? 2 : failed ? 1 : 0;
  const [glyph, name] = STATES[state];
  const counted = spans.filter((span) => (span.kind === 'llm' || span.kind === 'embedding') && !span.wrapper && !(span.attrs && span.attrs['peekr.internal']));
  const sum = (key) => counted.reduce((total, span) => (span[key] === undefined ? total : (total || 0) + span[key]), null);
  const tokens = found.omitted && row !== undefined ? list.tok[row] : (sum('tok_in') || 0) + (sum('tok_out') || 0);
  const cost = found.omitted && row !== undefined ? (list.c[row] < 0 ? null : list.c[row] / 1e6) : sum('cost');
  const said_ = state === 0 ? 'ok' : `${name}: ${exact(failed)} of ${plural(spans.length + found.omitted, 'span')} failed`;
  const facts_ = [took(found.total), plural(spans.length + found.omitted, 'span'), `${count(tokens || null)} tokens`, money(cost), moment(found.started)];
  const belongs = [];
  if (found.session) belongs.push(['session ', link(to('session', {}, found.session), said(found.session, {class: 'clipped', title: visible(found.session)}))]);
  if (found.user) belongs.push(['user ', said(found.user, {class: 'clipped', title: visible(found.user)})]);
  if (found.tenant) belongs.push(['tenant ', said(found.tenant, {class: 'clipped', title: visible(found.tenant)})]);
  const near = neighbours(found.id);
  return h('div', {class: 'trace-head'},
    h('p', {class: 'crumbs'}, link(to('traces', {}), '\u2190 Traces'), near.before ? link(to('trace', {}, near.before), '[ previous') : null, near.after ? link(to('trace', {}, near.after), 'next ]') : null),
    h('h2', {class: 'clamped', title: visible(root.name)}, said(root.name), ' ', h('span', {class: `state state-${name}`}, `${glyph} ${said_}`)),
    h('p', {}, facts_.join(' \u00b7 '), belongs.map((each) => [' \u00b7 ', each])),
    h('p', {class: 'mono muted'}, found.id, ' ', button('Copy id', () => copy(found.id), {class: 'quiet'})));
}

function neighbours(id) {
  if (!list) return {};
  const rows = traceRows().filter((row) => list.block[row] >= 0);
  const place = rows.findIndex((row) => list.id[row] === id);
  const id_ = (row) => (row === undefined ? null : list.id[row]);
  return place < 0 ? {} : {before: id_(rows[place - 1]), after: id_(rows[place + 1])};
}

/** The rows of the tree: spans, and folded runs of equal siblings. */
function visibleRows(found) {
  const {spans} = found;
  found.opened = found.opened || new Set();
  found.folds = new Map();
  const rows = [];
  const wanted = (span) => !onlyCalls || ['llm', 'embedding', 'tool'].includes(span.kind) || span.err;
  const walk = (children, depth, parent) => {
    const patterns = parent === undefined || !found.runs || !found.runs[parent] ? runs(spans, children) : found.runs[parent];
    for (const run of patterns) {
      if (run.times >= FOLD && !found.opened.has(run.key)) {
        rows.push({fold: run, depth});
        for (const child of run.members) if (spans[child].path) add(child, depth + 1);
        continue;
      }
      if (run.times >= FOLD) for (const child of run.members) found.folds.set(child, run);
      for (const child of run.members) add(child, depth);
    }
  };
  const add = (index, depth) => {
    const shown = wanted(spans[index]);
    if (shown) rows.push({span: index, depth});
    walk(spans[index].below, depth + (shown ? 1 : 0), index);
  };
  const roots = spans.map((span, i) => i).filter((i) => spans[i].p < 0);
  for (const root of roots) add(root, 0);
  return rows;
}

/** Siblings grouped into runs that repeat one pattern of names of up to three. */
function runs(spans, children) {
  const names = children.map((child) => `${spans[child].kind} ${spans[child].name}`);
  const made = [];
  let start = 0;
  while (start < names.length) {
    let best = {length: 1, times: 1};
    for (let length = 1; length <= 3 && start + length <= names.length; length++) {
      let times = 1;
      while (start + (times + 1) * length <= names.length && Array.from({length}, (_, i) => names[start + i] === names[start + times * length + i]).every(Boolean)) times++;
      if (times * length > best.times * best.length) best = {length, times};
    }
    const members = children.slice(start, start + best.length * best.times);
    made.push({key: `${spans[members[0]].id}`, times: best.times, names: members.slice(0, best.length).map((child) => spans[child].name), members});
    start += members.length;
  }
  return made;
}

function axis(total) {
  // A label needs its room to the right.
  const ticks = niceTicks(total, matchMedia('(max-width: 700px)').matches ? 1 : 4).filter((value) => value <= total * 0.85);
  return h('div', {class: 'axis', 'aria-hidden': 'true'}, h('span', {class: 'axis-name'}), h('span', {class: 'axis-ticks'}, ticks.map((value) => h('i', {style: {left: `${((100 * value) / total).toFixed(2)}%`}}, took(value)))));
}

function spanLine(found, row, place, side) {
  if (row.fold) return foldLine(found, row, place);
  const span = found.spans[row.span];
  const {total} = found;
  const left = (100 * span.t) / total;
  const width = Math.max(0, (100 * (span.d || 0)) / total);
  const wait = span.ttft && span.d ? Math.min(100, (100 * span.ttft) / span.d) : 0;
  const own = span.d ? Math.min(100, (100 * span.self) / span.d) : 0;
  const label = [span.wrapper ? '\u03a3 ' : '', span.tok_in !== undefined || span.tok_out !== undefined ? `${count((span.tok_in || 0) + (span.tok_out || 0))} tok` : '', span.cost !== undefined ? ` ${money(span.cost)}` : ''].join('');
  const flips = left + width > 75;
  const isInside = flips && left < 25; // no room on either side of it
  const bar = h('span', {class: `timebar kind-${span.kind}${span.err ? ' failed' : ''}`, style: {left: `${left.toFixed(3)}%`, width: `max(2px, ${width.toFixed(3)}%)`}},
    h('i', {class: 'own', style: {width: `${own.toFixed(1)}%`}}), wait ? h('i', {class: 'wait', style: {width: `${wait.toFixed(1)}%`}}) : null);
  const text = h('span', {class: isInside ? 'bartext inside' : 'bartext', style: isInside ? {right: `${Math.max(0, 100 - left - width).toFixed(3)}%`} : flips ? {right: `${(100 - left).toFixed(3)}%`} : {left: `${(left + width).toFixed(3)}%`}}, took(span.d));
  return h('div', {class: `span row${span.path ? ' onpath' : ''}${span.crit ? ' critical' : ''}`, role: 'row', tabindex: row.span === chosenSpan ? '0' : '-1', 'aria-level': String(row.depth + 1), 'aria-selected': String(row.span === chosenSpan), 'data-span': String(row.span), 'data-place': String(place),
    onclick: () => found.choose(row.span), onfocus: () => row.span !== chosenSpan && found.choose(row.span)},
  h('span', {role: 'gridcell', class: 'span-name', style: {'padding-left': `${8 + Math.min(row.depth, 14) * 14}px`}},
    h('i', {class: `kind kind-${span.kind}`, 'aria-hidden': 'true'}, GLYPHS[span.kind] || GLYPHS.app), ' ', span.err ? h('b', {class: 'bad'}, '\u2715 ') : null,
    // Before the name, which is what is cut where there is no room.
    span.attempt ? h('em', {}, `attempt ${span.attempt} `) : null, said(span.name), span.model && !span.name.includes(span.model) ? h('span', {class: 'muted'}, ' ', said(span.model)) : null, span.p === -2 ? h('em', {}, ' parent not in file') : null),
  h('span', {role: 'gridcell', class: 'span-time'}, bar, text),
  h('span', {role: 'gridcell', class: 'span-facts number'}, label));
}

function foldLine(found, row, place) {
  const {members, times, names, key, n} = row.fold;
  const spans = members.map((member) => found.spans[member]);
  const costs = spans.filter((span) => span.cost !== undefined && !span.wrapper);
  // Of a trace that is not whole in the page, Python has summed all of it.
  const ms = row.fold.ms === undefined ? spans.reduce((sum, span) => sum + (span.d || 0), 0) : row.fold.ms;
  const usd = row.fold.cost === undefined ? (costs.length ? costs.reduce((sum, span) => sum + span.cost, 0) : null) : row.fold.cost;
  const left = n === undefined || n === members.length ? '' : `; ${exact(members.length)} of ${plural(n, 'span')} in the page`;
  const isClosed = members.length > 0;
  const text = `\u00d7${exact(times)} ${names.join(' \u2192 ')}, ${took(ms)}${usd === null ? '' : `, ${money(usd)}`}${left}`;
  return h('div', {class: 'row fold', role: 'row', 'data-place': String(place), 'aria-level': String(row.depth + 1), 'aria-expanded': isClosed ? 'false' : null, 'data-fold': isClosed ? key : null, tabindex: '-1'}, h('span', {role: 'gridcell', style: {'padding-left': `${8 + Math.min(row.depth, 14) * 14}px`}}, !isClosed ? text : button(text, () => {
    found.opened.add(key);
    draw();
  }, {class: 'quiet', tabindex: '-1'})));
}

function isRecorded(span) {
  return [span.input, span.output].some((value) => value !== null && value !== undefined);
}

function showSpan(found, index, side) {
  const span = found.spans[index];
  const previous = found.spans.slice(0, index).reverse().find((other) => isMessages(other.input) && other.kind === 'llm' && isMessages(span.input));
  const options = {
    before: previous ? previous.input : null,
    beforeName: previous ? `the call ${previous.name}` : '',
    resultOf: (id) => (found.results.has(id) ? () => found.choose(found.results.get(id), true) : null),
  };
  const rows = [
    ['kind', span.kind],
    ['model', span.model],
    ['provider', span.provider],
    ['started', `${took(span.t)} after the beginning`],
    ['duration', took(span.d)],
    ['own time', took(span.self)],
    ['first token', span.ttft === undefined ? null : took(span.ttft)],
    ['tokens in', span.tok_in === undefined ? null : `${exact(span.tok_in)}${span.tok_cached === undefined ? '' : ` (${exact(span.tok_cached)} cached)`}`],
    ['tokens out', span.tok_out === undefined ? null : `${exact(span.tok_out)}${span.tok_reason === undefined ? '' : ` (${exact(span.tok_reason)} reasoning)`}`],
    ['cost', span.cost === undefined ? (span.tok_in !== undefined ? 'no price' : null) : money(span.cost)],
    ['finish', Array.isArray(span.finish) ? span.finish.join(', ') : span.finish],
  ].filter(([, value]) => value !== undefined && value !== null);
  clear(side).append(
    h('div', {class: 'head'}, h('h3', {class: 'clamped', title: visible(span.name)}, said(span.name)), h('span', {class: 'tools'}, button(raw ? 'Read' : 'Raw', () => {
      raw = !raw;
      showSpan(found, index, side);
    }, {class: 'quiet', 'aria-pressed': String(raw)}), button('Copy', () => copy(rawOf(span)), {class: 'quiet'}))),
    ...(raw ? [code(rawOf(span))] : [
      span.error ? h('section', {class: 'error-box'}, h('h4', {}, '\u2715 Error'), errorText(span.error)) : null,
      span.scores ? h('section', {}, h('h4', {}, 'Scores'), tree(span.scores)) : null,
      span.guards ? h('section', {}, h('h4', {}, 'Guards'), tree(span.guards)) : null,
      span.wrapper ? h('p', {class: 'note'}, '\u03a3 repeats the usage of the calls below it; it is not counted') : null,
      ...(isRecorded(span) ? [
        h('section', {}, h('h4', {}, 'Output'), content(span.output, options)),
        h('section', {}, h('h4', {}, 'Input'), content(span.input, options)),
      ] : [h('p', {class: 'muted'}, 'Neither input nor output was recorded.')]),
      h('section', {}, h('h4', {}, 'Figures'), h('dl', {class: 'facts'}, rows.map(([key, value]) => [h('dt', {}, key), h('dd', {}, said(value))]))),
      span.eval_errors ? h('section', {}, h('h4', {}, 'Not scored'), tree(span.eval_errors)) : null,
      span.attrs && Object.keys(span.attrs).length ? h('details', {}, h('summary', {}, `${plural(Object.keys(span.attrs).length, 'more attribute')}`), tree(span.attrs)) : null,
    ]).filter(Boolean));
}

let raw = false;

function rawOf(span) {
  return JSON.stringify(span, (key, value) => (['below', 'depth', 'path'].includes(key) ? undefined : value), 2);
}

/** An error's text; JSON inside it as a tree. */
function errorText(value) {
  if (typeof value !== 'string') return prose(value);
  const begin = value.indexOf('{');
  if (begin >= 0) {
    for (const text of [value.slice(begin), value.slice(begin).replace(/'/g, '"').replace(/\bNone\b/g, 'null').replace(/\bTrue\b/g, 'true').replace(/\bFalse\b/g, 'false')]) {
      try {
        const parsed = JSON.parse(text);
        return h('div', {}, prose(value.slice(0, begin)), tree(parsed));
      } catch {
        // not JSON: shown as it is
      }
    }
  }
  return prose(value);
}

function copy(text) {
  const done = () => announce('Copied');
  if (navigator.clipboard && window.isSecureContext) {
    navigator.clipboard.writeText(text).then(done, () => copyBySelection(text, done));
  } else copyBySelection(text, done);
}

function copyBySelection(text, done) {
  const area = h('textarea', {class: 'hidden'});
  area.value = text;
  document.body.append(area);
  area.select();
  if (document.execCommand('copy')) done();
  area.remove();
}

/** Left and right in the tree: close or go up, open or go down. */
function treeKey(key) {
  if (!current) return;
  const line = document.activeElement?.closest?.('.spans .row');
  if (!line) return;
  const rows = current.grid.rows;
  const place = Number(line.dataset.place);
  if (line.dataset.fold !== undefined) {
    if (key === 'ArrowRight' || key === 'Enter') {
      current.opened.add(line.dataset.fold);
      focusPlace = place;
      draw();
      return;
    }
  } else if (key === 'ArrowLeft') {
    const {members, key: fold} = current.folds.get(rows[place].span) || {};
    if (members) {
      current.opened.delete(fold);
      focusPlace = rows.findIndex((row) => row.span === members[0]);
      draw();
      return;
    }
  }
  if (key === 'Enter') {
    document.getElementById('detail').focus();
    return;
  }
  const depth = rows[place].depth;
  if (key === 'ArrowRight') {
    if (rows[place + 1] && rows[place + 1].depth > depth) current.grid.reveal(place + 1);
    return;
  }
  for (let above = place - 1; above >= 0; above--) {
    if (rows[above].depth < depth) {
      current.grid.reveal(above);
      return;
    }
  }
}

let focusPlace = null;

function nextSpan(test, step) {
  if (!current || at.view !== 'trace') return;
  const n = current.spans.length;
  for (let i = 1; i <= n; i++) {
    const index = (chosenSpan + i * (step || 1) + n * 2) % n;
    if (test(current.spans[index])) {
      current.choose(index, true);
      return;
    }
  }
}
