// The list of traces: text, not JSON; sorted, filtered, opened by row.

const ROW_PX = 44;
let lastRow = null;
let focusRow = -1;

function traceRows() {
  const states = ['ok', 'recovered', 'failed'];
  const wanted = filters();
  const {status, ...others} = wanted;
  const keepCall = predicateOf(others);
  const words = (wanted.q || '').toLowerCase().split(/\s+/).filter(Boolean);
  const made = [];
  for (let row = 0; row < list.n; row++) {
    if (!keepCall(row)) continue;
    const state = states[list.state[row]];
    if (status && !(status === 'error' ? state !== 'ok' : status === state)) continue;
    if (words.length) {
      const text = `${list.name[row]} ${list.question[row]} ${list.answer[row]} ${list.id[row]} ${list.group[row]} ${list.session[row]} ${list.user[row]}`.toLowerCase();
      if (!words.every((word) => text.includes(word))) continue;
    }
    made.push(row);
  }
  const sort = sortOption('-started');
  const value = {
    started: (row) => list.t[row],
    dur: (row) => list.d[row],
    tok: (row) => list.tok[row],
    cost: (row) => list.c[row],
    score: (row) => list.score[row],
    llm: (row) => list.llm[row],
    state: (row) => list.state[row],
    name: (row) => list.name[row],
  }[sort.key] || ((row) => list.t[row]);
  const sign = sort.down ? -1 : 1;
  return made.sort((a, b) => {
    const left = value(a);
    const right = value(b);
    if (sort.key !== 'started' && sort.key !== 'name' && absent(left) !== absent(right)) return absent(left) ? 1 : -1;
    return sign * (typeof left === 'string' ? left.localeCompare(right) : left - right);
  });
}

function predicateOf(wanted) {
  const tests = [];
  const start = core.buckets.start;
  for (const [name, key] of Object.entries(KEY_OF)) {
    if (wanted[name] === undefined) continue;
    if (name === 'user') {
      tests.push((row) => list.user[row] === (wanted.user === '(none)' ? '' : wanted.user));
      continue;
    }
    if (!list[key]) continue;
    const number = core.dims[name].indexOf(wanted[name] === '(none)' ? '' : wanted[name]);
    tests.push((row) => list[key][row] === number);
  }
  if (wanted.from) tests.push((row) => start + list.t[row] / 1000 >= Number(wanted.from));
  if (wanted.to) tests.push((row) => start + list.t[row] / 1000 < Number(wanted.to));
  if (wanted.cut) tests.push((row) => list.cut[row] === 1);
  return (row) => tests.every((test) => test(row));
}

function traces() {
  if (!list) return locked();
  if (!list.n) return nothing();
  const rows = traceRows();
  announce(`${plural(rows.length, 'trace')} shown`);
  const held = list.block.filter((block) => block >= 0).length;
  const why = core.embedded.why.map(([reason, n]) => `${exact(n)} ${reason}`).join(', ');
  const isWhole = list.n === core.traces && held === list.n;
  const title = h('p', {class: 'note'}, isWhole ? 'Every trace of the file is here.' : `${exact(list.n)} of ${exact(core.traces)} traces are listed, ${exact(held)} can be opened: ${why}.`);
  if (!rows.length) return [h('h2', {}, 'Traces'), title, noMatch('No traces match')];
  const sort = sortOption('-started');
  const columns = [['state', 'State'], ['started', 'Started'], ['name', 'What was asked and answered'], ['dur', 'Duration'], ['llm', 'LLM / tool'], ['tok', 'Tokens'], ['cost', 'Cost'], ['score', 'Score']];
  const head = h('div', {class: 'row head', role: 'row'}, columns.map(([key, text]) => {
    const state = sort.key === key ? (sort.down ? 'descending' : 'ascending') : 'none';
    return h('span', {role: 'columnheader', class: `c-${key}`, 'aria-sort': state}, button(text + (state === 'none' ? '' : sort.down ? ' \u2193' : ' \u2191'), () => sortBy(key), {class: 'sort'}));
  }));
  const view = windowed(rows, ROW_PX, traceLine, 'tracelist');
  view.setAttribute('aria-rowcount', String(rows.length));
  return [h('h2', {}, `Traces (${exact(rows.length)})`), title, h('div', {class: 'grid', role: 'grid', 'aria-label': 'Traces'}, head, view)];
}

function traceLine(row, place) {
  const [glyph, state] = STATES[list.state[row]];
  const score = list.score[row];
  const question = list.question[row];
  const answer = list.answer[row];
  const cost = list.c[row] < 0 ? null : list.c[row] / 1e6;
  const address_ = to('trace', {sort: at.options.sort}, list.id[row]);
  const open = (event) => {
    lastRow = list.id[row];
    if (!event.target.closest('a')) location.hash = address_;
  };
  return h('div', {class: `row state-${state}`, role: 'row', tabindex: place === 0 || list.id[row] === lastRow ? '0' : '-1', 'data-place': String(place), 'data-id': list.id[row], onclick: open, onkeydown: (event) => event.key === 'Enter' && open(event)},
    h('span', {role: 'gridcell', class: 'c-state'}, h('i', {'aria-hidden': 'true'}, glyph), ` ${state}`),
    h('span', {role: 'gridcell', class: 'c-started'}, moment(core.buckets.start + list.t[row] / 1000)),
    h('span', {role: 'gridcell', class: 'c-name'}, h('a', {href: address_, tabindex: '-1', class: question || answer ? 'clipped' : null, title: visible(list.name[row])}, said(list.name[row])), ' ', question ? said(question) : null, answer ? [h('span', {class: 'muted'}, ' \u2192 '), said(answer)] : null),
    h('span', {role: 'gridcell', class: 'c-dur number'}, took(list.d[row])),
    h('span', {role: 'gridcell', class: 'c-llm number'}, `${exact(list.llm[row])} / ${exact(list.tools[row])}`),
    h('span', {role: 'gridcell', class: 'c-tok number'}, count(list.tok[row])),
    h('span', {role: 'gridcell', class: 'c-cost number'}, money(cost)),
    h('span', {role: 'gridcell', class: 'c-score number'}, scored(score)));
}

/** A long list of which only the rows in sight are elements. */
function windowed(rows, px, make, id) {
  const space = h('div', {class: 'space', style: {height: `${rows.length * px}px`}});
  const view = h('div', {class: 'window', id, tabindex: '-1'}, space);
  let shown = [-1, -1];
  const fill = () => {
    const first = Math.max(0, Math.floor(view.scrollTop / px) - 8);
    const end = Math.min(rows.length, first + Math.ceil((view.clientHeight || 800) / px) + 16);
    if (first === shown[0] && end === shown[1]) return;
    shown = [first, end];
    const focused = document.activeElement && view.contains(document.activeElement) ? document.activeElement.dataset.place : null;
    clear(space);
    for (let place = first; place < end; place++) {
      const line = make(rows[place], place);
      line.setAttribute('aria-rowindex', String(place + 1));
      line.style.setProperty('top', `${place * px}px`);
      space.append(line);
    }
    if (focused !== null) space.querySelector(`[data-place="${focused}"]`)?.focus({preventScroll: true});
  };
  view.addEventListener('scroll', fill, {passive: true});
  view.fill = fill;
  view.reveal = (place) => {
    const top = place * px;
    if (top < view.scrollTop) view.scrollTop = top;
    else if (top + px > view.scrollTop + view.clientHeight) view.scrollTop = top + px - view.clientHeight;
    fill();
    const line = space.querySelector(`[data-place="${place}"]`);
    line?.focus({preventScroll: true});
    return line;
  };
  view.rows = rows;
  requestAnimationFrame(fill);
  return view;
}

/** Go to the next or the previous row of the list in sight. */
function moveRow(step) {
  const view = document.querySelector('.window');
  if (!view) return;
  const now = document.activeElement?.dataset?.place;
  const place = now === undefined ? (step > 0 ? 0 : view.rows.length - 1) : Number(now) + step;
  if (place >= 0 && place < view.rows.length) view.reveal(place);
}

function locked() {
  return empty('This browser cannot unpack the lists in this page (it has no DecompressionStream). The overview works; a newer browser shows the rest.');
}
