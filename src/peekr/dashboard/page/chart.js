// Charts over time: bars, stacks and lines on one axis, with one crosshair through all of them.

const MARGIN = {left: 52, right: 10, top: 8, bottom: 22};
const HEIGHT = 150;
const BAR = 48;
let charts = [];
let crossing = null;
let dragFrom = null;

function bucketTime(bucket) {
  return core.buckets.start + bucket * core.buckets.step;
}

/** Whether the records cover only a part of a bucket: of the first or of the last one. */
function isPart(bucket) {
  const {start, step, count: n} = core.buckets;
  if (n < 2 || core.first === null) return false;
  if (bucket === 0) return core.first > start + step * 0.1;
  return bucket === n - 1 && core.last < start + step * (n - 0.1);
}

/** What the hatched ground in the charts means; null where no bucket is a part. */
function partNote() {
  const named = [isPart(0) ? 'first' : '', isPart(core.buckets.count - 1) ? 'last' : ''].filter(Boolean);
  if (!named.length) return null;
  return `Hatched: the ${named.join(' and the ')} ${STEP_NAMES[core.buckets.step]} ${named.length > 1 ? 'are' : 'is'} not whole.`;
}

/** Ticks at 1, 2, 5 times a power of ten that cover 0 to `most`. */
function niceTicks(most, wanted, whole) {
  if (!(most > 0)) return [0, 1];
  const rough = Math.max(most / (wanted || 3), whole ? 1 : 0);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const made = [];
  for (let value = 0; value < most + step * 0.999; value += step) made.push(value);
  return made;
}

/** 1, 2, 5, 10, 20, 50 … that cover a range of positive numbers. */
function logTicks(least, most) {
  const made = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++) {
    for (const factor of [1, 2, 5]) made.push(factor * 10 ** power);
  }
  const first = Math.max(0, made.findIndex((tick) => tick > least * 1.0001) - 1);
  const last = made.findIndex((tick) => tick >= most * 0.9999);
  let shown = made.slice(first, last + 1);
  if (shown.length > 6) {
    const tens = shown.filter((tick, i) => /^1(e|0|$)/.test(String(tick)) || i === 0 || i === shown.length - 1 || Number.isInteger(Math.log10(tick)));
    shown = tens.length > 1 ? tens : shown;
  }
  return shown.length > 1 ? shown : made.slice(first, first + 2);
}

/**
 * A chart with its title, a line for the values under the crosshair, and a table.
 * options: title, series [{name, values, tone, hatch}], kind bars|stack|lines, format, log, note,
 * none: what to say where there is nothing to draw
 */
function chart(options) {
  const box = h('div', {class: 'plot'});
  const readout = h('p', {class: 'readout'}, options.note || '\u00a0');
  const figure = h('section', {class: 'chart panel'},
    h('div', {class: 'head'}, h('h3', {}, options.title), options.series.length > 1 ? legend(options.series) : null,
      button('Table', () => toggle(), {class: 'quiet', 'aria-pressed': 'false'})),
    readout, box);
  const own = {options, box, readout, figure, width: 0};
  let asTable = false;
  const toggle = () => {
    asTable = !asTable;
    figure.querySelector('.head button').setAttribute('aria-pressed', String(asTable));
    clear(box);
    if (asTable) box.append(chartTable(options));
    else paint(own);
  };
  own.repaint = () => {
    if (!asTable) paint(own);
  };
  charts.push(own);
  return figure;
}

function chartTable(options) {
  const head = h('tr', {}, h('th', {scope: 'col'}, 'Time'), options.series.map((one) => h('th', {scope: 'col'}, one.name)));
  const rows = [];
  for (let bucket = 0; bucket < core.buckets.count; bucket++) {
    if (options.series.every((one) => !one.values[bucket])) continue;
    rows.push(h('tr', {}, h('th', {scope: 'row'}, tick(bucketTime(bucket), core.buckets.step), isPart(bucket) ? ' (part)' : ''),
      options.series.map((one) => h('td', {class: 'number'}, options.format(one.values[bucket])))));
  }
  return h('div', {class: 'scroll'}, h('table', {}, h('thead', {}, head), h('tbody', {}, rows)));
}

function paint(own) {
  const {options, box} = own;
  const width = Math.max(260, box.clientWidth || 560);
  const n = core.buckets.count;
  const inner = width - MARGIN.left - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const tall = bottom - MARGIN.top;
  const x = (bucket) => MARGIN.left + (inner * bucket) / Math.max(1, n);
  const values = options.series.flatMap((one) => one.values).filter((v) => v !== null && v !== undefined && v > 0);
  const ticks = scaleTicks(options, values);
  const least = ticks[0];
  const most = ticks[ticks.length - 1];
  const y = options.log
    ? (value) => bottom - (tall * (Math.log(Math.max(value, least)) - Math.log(least))) / (Math.log(most) - Math.log(least) || 1)
    : (value) => bottom - (tall * value) / (most || 1);
  const picture = svg('svg', {width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img', tabindex: '0', 'aria-label': summary(options)});
  hatches();
  for (const bucket of [0, n - 1]) {
    if (isPart(bucket)) picture.append(svg('rect', {class: 'part', x: x(bucket), y: MARGIN.top, width: x(bucket + 1) - x(bucket), height: tall}));
  }
  for (const value of values.length ? ticks : [ticks[0]]) {
    picture.append(svg('line', {class: 'grid', x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value)}));
    if (values.length) picture.append(svg('text', {class: 'tick', x: MARGIN.left - 6, y: y(value) + 4, 'text-anchor': 'end'}, options.format(value)));
  }
  const every = Math.max(1, Math.ceil(n / Math.max(1, Math.floor(inner / 90))));
  for (let bucket = 0; bucket < n; bucket += every) {
    const label = tick(bucketTime(bucket), core.buckets.step);
    const room = x(bucket) + label.length * 6 < width;
    const properties = n === 1 ? {x: x(0.5), 'text-anchor': 'middle'} : {x: x(bucket)};
    if (room) picture.append(svg('text', {class: 'tick', ...properties, y: HEIGHT - 6}, label));
  }
  if (!values.length) picture.append(svg('text', {class: 'none', x: MARGIN.left + inner / 2, y: MARGIN.top + tall / 2, 'text-anchor': 'middle'}, options.none || 'Nothing to draw'));
  else if (options.kind === 'lines') lines(picture, options, x, y, inner / Math.max(1, n));
  else bars(picture, options, x, y, inner / Math.max(1, n), bottom);
  const cross = svg('line', {class: 'cross', y1: MARGIN.top, y2: bottom, visibility: 'hidden'});
  const chosen = svg('rect', {class: 'selection', y: MARGIN.top, height: tall, visibility: 'hidden'});
  picture.append(chosen, cross);
  Object.assign(own, {picture, cross, chosen, x, bucketAt: (px) => Math.min(n - 1, Math.max(0, Math.floor(((px - MARGIN.left) * n) / inner)))});
  listen(own);
  clear(box).append(picture);
}

function scaleTicks(options, values) {
  if (options.ticks) return options.ticks;
  if (!values.length) return options.log ? [100, 1000] : [0, 1];
  if (options.log) return logTicks(Math.min(...values), Math.max(...values));
  let most = Math.max(...values);
  if (options.kind === 'stack') {
    most = 0;
    for (let bucket = 0; bucket < core.buckets.count; bucket++) {
      most = Math.max(most, options.series.reduce((sum, one) => sum + (one.inside ? 0 : one.values[bucket] || 0), 0));
    }
  }
  return niceTicks(most, 3, options.format === count);
}

/** The hatches of all charts, once in the page: of a part of a value, of a bucket that is not whole. */
function hatches() {
  if (document.getElementById('hatch')) return;
  const made = (id, name, px, turn) => svg('pattern', {id, width: px, height: px, patternUnits: 'userSpaceOnUse', patternTransform: `rotate(${turn})`}, svg('line', {class: name, x1: 0, y1: 0, x2: 0, y2: px}));
  document.body.append(svg('svg', {class: 'hidden', 'aria-hidden': 'true'}, svg('defs', {},
    made('hatch', 'hatch', 5, 45), made('part', 'part-line', 6, -45), made('part-bar', 'hatch', 6, -45))));
}

function bars(picture, options, x, y, slot, bottom) {
  // Few buckets make no walls.
  const width = Math.max(1, Math.min(slot - 1, BAR));
  const aside = Math.max(0, (slot - 1 - width) / 2);
  for (let bucket = 0; bucket < core.buckets.count; bucket++) {
    let base = 0;
    for (const one of options.series) {
      const value = one.values[bucket] || 0;
      if (!value) continue;
      // A part of the series before it (cached tokens of the input) is hatched over it.
      const from = one.inside ? 0 : base;
      const height = Math.max(1, y(from) - y(from + value));
      picture.append(svg('rect', {class: one.inside ? 'hatched' : `tone-${one.tone}`, x: x(bucket) + aside, y: Math.min(y(from + value), bottom - height), width, height}));
      if (!one.inside) base += value;
      if (!one.inside && isPart(bucket)) picture.append(svg('rect', {class: 'part-bar', x: x(bucket) + aside, y: Math.min(y(from + value), bottom - height), width, height}));
    }
  }
}

function lines(picture, options, x, y, step) {
  for (const one of options.series) {
    let path = '';
    let pen = false;
    let alone = [];
    one.values.forEach((value, bucket) => {
      if (value === null || value === undefined) {
        pen = false;
        return;
      }
      const px = x(bucket) + step / 2;
      path += `${pen ? 'L' : 'M'}${px.toFixed(1)} ${y(value).toFixed(1)}`;
      pen = true;
      const before = one.values[bucket - 1];
      const after = one.values[bucket + 1];
      if ((before === null || before === undefined) && (after === null || after === undefined)) alone.push([px, y(value)]);
    });
    picture.append(svg('path', {class: `line tone-${one.tone}`, d: path}));
    for (const [cx, cy] of alone) picture.append(svg('circle', {class: `tone-${one.tone}`, cx, cy, r: 2.5}));
  }
}

function summary(options) {
  const said = options.series.map((one) => {
    const held = one.values.filter((value) => value !== null && value !== undefined && value !== 0);
    if (!held.length) return `${one.name}: nothing`;
    const least = held.reduce((a, b) => Math.min(a, b));
    const most = held.reduce((a, b) => Math.max(a, b));
    return `${one.name} from ${options.format(least)} to ${options.format(most)} a ${STEP_NAMES[core.buckets.step]}`;
  });
  const part = partNote();
  return `${options.title}: ${said.join('; ')}. ${part ? `${part} ` : ''}Arrow keys move along the time.`;
}

function listen(own) {
  const {picture} = own;
  const position = (event) => own.bucketAt(event.clientX - picture.getBoundingClientRect().left);
  picture.addEventListener('pointermove', (event) => {
    cross(position(event));
    if (dragFrom !== null) select(Math.min(dragFrom, crossing), Math.max(dragFrom, crossing));
  });
  picture.addEventListener('pointerleave', () => {
    if (dragFrom === null) cross(null);
  });
  picture.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    dragFrom = position(event);
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener('pointercancel', () => {
    dragFrom = null;
    select(null);
  });
  picture.addEventListener('pointerup', (event) => {
    const end = position(event);
    const start = dragFrom;
    dragFrom = null;
    select(null);
    if (start !== null && end !== start) {
      change({from: bucketTime(Math.min(start, end)), to: bucketTime(Math.max(start, end) + 1)});
    }
  });
  picture.addEventListener('keydown', (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    cross(Math.min(core.buckets.count - 1, Math.max(0, (crossing === null ? (step > 0 ? -1 : core.buckets.count) : crossing) + step)));
    announce(own.readout.textContent);
  });
  picture.addEventListener('blur', () => cross(null));
}

function cross(bucket) {
  crossing = bucket;
  for (const own of charts) {
    if (!own.picture) continue;
    if (bucket === null) {
      own.cross.setAttribute('visibility', 'hidden');
      clear(own.readout).append(own.options.note || '\u00a0');
      continue;
    }
    const middle = (own.x(bucket) + own.x(bucket + 1)) / 2;
    own.cross.setAttribute('x1', middle);
    own.cross.setAttribute('x2', middle);
    own.cross.setAttribute('visibility', 'visible');
    // Under the crosshair the exact value: 1,234 where the axis says 1.2k.
    const format = own.options.format === count ? exact : own.options.format;
    const values = own.options.series.map((one) => `${one.name} ${format(one.values[bucket])}`);
    clear(own.readout).append(`${moment(bucketTime(bucket))}, ${STEP_NAMES[core.buckets.step]}${isPart(bucket) ? ', not whole' : ''}: ${values.join(', ')}`);
  }
}

function select(from, end) {
  for (const own of charts) {
    if (!own.picture) continue;
    if (from === null) {
      own.chosen.setAttribute('visibility', 'hidden');
      continue;
    }
    own.chosen.setAttribute('x', own.x(from));
    own.chosen.setAttribute('width', own.x(end + 1) - own.x(from));
    own.chosen.setAttribute('visibility', 'visible');
  }
}

function repaintCharts() {
  for (const own of charts) own.repaint();
}

/** A small line without axes, beside a figure that says the same; null where there is no line. */
function sparkline(values) {
  const held = values.filter((value) => !absent(value));
  const most = Math.max(...held, 0);
  if (values.length < 2 || !(most > 0)) return null;
  const n = values.length - 1;
  let d = '';
  values.forEach((value, i) => {
    if (absent(value)) return;
    const place = `${((100 * i) / n).toFixed(1)} ${(18 - (16 * value) / most).toFixed(1)}`;
    // What has no neighbour is a dot: a line of no length with round ends.
    d += i > 0 && !absent(values[i - 1]) ? `L${place}` : absent(values[i + 1]) ? `M${place}h0.01` : `M${place}`;
  });
  return svg('svg', {class: 'spark', viewBox: '0 0 100 20', preserveAspectRatio: 'none', 'aria-hidden': 'true'}, svg('path', {d}));
}

function legend(series) {
  return h('p', {class: 'legend'}, series.map((one) => h('span', {}, h('i', {class: one.inside ? 'swatch hatched' : `swatch tone-${one.tone}`, 'aria-hidden': 'true'}), one.name)));
}
