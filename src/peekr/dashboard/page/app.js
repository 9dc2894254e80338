// The frame around the views: tabs, filters, keys, what is drawn when the address changes.

const DRAWN = {overview, traces, cost, quality, sessions, trace: traceView, session: sessionView, about};
const TITLES = {overview: 'Overview', traces: 'Traces', cost: 'Cost', quality: 'Quality', sessions: 'Sessions'};
let drawing = 0;

function frame() {
  const begin = moment(core.first, true);
  const end = moment(core.last, true);
  const range = core.first === null ? '' : begin === end ? `, ${begin}` : `, ${begin} to ${end}`;
  const zoneName = zone || Intl.DateTimeFormat().resolvedOptions().timeZone;
  put(clear(document.getElementById('about-line')), [
    `${plural(core.traces, 'trace')} \u00b7 ${core.spans === 1 ? '1 span' : `${count(core.spans)} spans`}${range} \u00b7 `,
    button(zoneName, () => {
      zone = zone ? undefined : 'UTC';
      frame();
      draw();
    }, {class: 'quiet', title: 'Switch between local time and UTC'}),
    ` \u00b7 made ${moment(core.made)} \u00b7 `, link('#/about', 'About this data'), core.problems ? [' \u00b7 ', h('span', {class: 'warned'}, '\u25b2 ', said(core.problems))] : null]);
  const tabs = clear(document.getElementById('tabs'));
  const active = {trace: 'traces', session: 'sessions'}[at.view] || at.view;
  for (const view of VIEWS) {
    tabs.append(h('a', {role: 'tab', href: to(view, {}), id: `tab-${view}`, 'aria-selected': String(view === active), 'aria-controls': 'main', tabindex: view === active || (active === 'about' && view === 'overview') ? '0' : '-1', onkeydown: moveTab}, TITLES[view]));
  }
  document.title = `${TITLES[active] || 'About'} \u2013 ${core.file} \u2013 Peekr`;
  clear(document.getElementById('foot')).append(`Contains prompts and answers of ${plural(core.embedded.traces, 'trace')}. `, `Peekr ${core.version}, nothing is loaded from a network.`);
  drawFilters();
}

function moveTab(event) {
  const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (!step) return;
  event.preventDefault();
  const tabs = [...document.querySelectorAll('[role=tab]')];
  tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length].focus();
}

function drawFilters() {
  const box = clear(document.getElementById('filters'));
  const wanted = filters();
  const options = (name) => [['', 'any'], ...core.dims[name].map((value) => [value || '(none)', value || '(none)']).slice(0, 300)];
  const controls = [picker('status', [['', 'any'], ['ok', 'ok'], ['error', 'with errors'], ['recovered', 'recovered']], wanted.status || '', (value) => change({status: value}))];
  for (const name of ['model', 'tenant', 'feature', 'endpoint', 'variant', 'user']) {
    if (core.dims[name].length > 1) controls.push(picker(name, options(name), wanted[name] || '', (value) => change({[name]: value})));
  }
  const search = h('input', {type: 'search', id: 'search', placeholder: 'in listed traces', value: wanted.q || '', onchange: (event) => {
    if (['traces', 'sessions'].includes(at.view)) change({q: event.target.value});
    else go('traces', {q: event.target.value});
  }});
  controls.push(field('text', search));
  const n = Object.keys(wanted).length;
  const isNarrow = matchMedia('(max-width: 700px)').matches;
  const chips = Object.entries(wanted).filter(([key]) => key !== 'to').map(([key, value]) => {
    const text = key === 'cut' ? 'cut short' : key === 'status' && value === 'error' ? 'with errors' : key === 'from' ? `${moment(Number(value))} to ${moment(Number(wanted.to))}` : `${key} ${value}`;
    return button([said(text), ' \u00d7'], () => change(key === 'from' ? {from: '', to: ''} : {[key]: ''}), {class: 'chip', 'aria-label': `Remove the filter ${text}`});
  });
  const all = h('div', {class: 'controls'}, controls);
  if (isNarrow) box.append(h('details', {open: false}, h('summary', {}, n ? `Filters (${n})` : 'Filters'), all));
  else box.append(all);
  if (chips.length) box.append(h('div', {class: 'chips'}, chips, button('Clear filters', clearFilters, {class: 'quiet'})));
}

async function draw() {
  const turn = ++drawing;
  charts = [];
  crossing = null;
  const main = document.getElementById('main');
  let made;
  try {
    made = await DRAWN[at.view]();
  } catch (error) {
    made = empty(`This view could not be drawn: ${error}`);
    console.error(error);
  }
  if (turn !== drawing || made === null) return;
  put(clear(main), [made]);
  main.dataset.view = at.view;
  repaintCharts();
  for (const view of main.querySelectorAll('.window')) view.fill?.();
  if (at.view === 'traces' && lastRow) {
    const view = main.querySelector('#tracelist');
    const place = view ? view.rows.findIndex((row) => list.id[row] === lastRow) : -1;
    if (place >= 0) requestAnimationFrame(() => view.reveal(place));
    lastRow = null;
  } else if (at.moved) window.scrollTo(0, at.scroll || 0);
  document.documentElement.dataset.ready = String(turn);
}

// Where each page was left, so that Back returns to its place.
const trail = [{hash: location.hash, scroll: 0}];
history.scrollRestoration = 'manual';
addEventListener('scroll', () => {
  trail[trail.length - 1].scroll = window.scrollY;
}, {passive: true});

addEventListener('hashchange', () => {
  const before = at.view + at.id;
  at = parse(location.hash);
  at.moved = before !== at.view + at.id;
  const last = trail.length - 2;
  if (last >= 0 && trail[last].hash === location.hash) {
    trail.pop();
    at.scroll = trail[last].scroll;
  } else trail.push({hash: location.hash, scroll: at.moved ? 0 : window.scrollY});
  frame();
  draw();
});

let resizing = 0;
addEventListener('resize', () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => {
    repaintCharts();
    for (const view of document.querySelectorAll('.window')) view.fill?.();
  }, 100);
});

addEventListener('keydown', (event) => {
  const {target, key} = event;
  const types = target.matches?.('input, select, textarea');
  if (key === 'Escape') {
    if (types) target.blur();
    else if (at.options.from) change({from: '', to: ''});
    else if (at.view === 'trace' || at.view === 'session') history.back();
    return;
  }
  if (!keysOn || types || event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = {
    '/': () => {
      const search = document.getElementById('search');
      const folded = search.closest('details');
      if (folded) folded.open = true;
      window.scrollTo(0, 0);
      search.focus();
    },
    j: () => moveRow(1),
    k: () => moveRow(-1),
    '?': () => (location.hash = '#/about'),
    e: () => nextSpan((span) => span.err),
    l: () => nextSpan((span) => span.kind === 'llm'),
    '[': () => step('before'),
    ']': () => step('after'),
    ArrowLeft: target.closest?.('.spans .row') ? () => treeKey('ArrowLeft') : null,
    ArrowRight: target.closest?.('.spans .row') ? () => treeKey('ArrowRight') : null,
    Enter: target.matches?.('.spans .row') ? () => treeKey('Enter') : null,
    ArrowDown: target.closest?.('.window') ? () => moveRow(1) : null,
    ArrowUp: target.closest?.('.window') ? () => moveRow(-1) : null,
  };
  for (let i = 0; i < VIEWS.length; i++) actions[String(i + 1)] = () => go(VIEWS[i]);
  if (actions[key]) {
    event.preventDefault();
    actions[key]();
  }
});

function step(which) {
  if (at.view !== 'trace') return;
  const id = neighbours(at.id)[which];
  if (id) go('trace', {sort: at.options.sort}, id);
}

frame();
load().then(() => {
  frame();
  draw();
}, (error) => {
  console.error(error);
  draw();
});
