// Two variants, models or tenants side by side: their figures, and what they answered to the same.

const PAIRS = 10;

/** The two values that are compared: those of the address, else the two with the most calls. */
function compared(rows) {
  const names = rows.map((row) => row.name);
  const wanted = [at.options.a, at.options.b].map((name) => (name === '(none)' ? '' : name));
  const first = names.includes(wanted[0]) ? wanted[0] : names.find((name) => name !== wanted[1]);
  const second = names.includes(wanted[1]) && wanted[1] !== first ? wanted[1] : names.find((name) => name !== first);
  return [first, second];
}

function comparison(dimension, rows) {
  const pair = compared(rows);
  const [a, b] = pair.map((name) => rows.find((row) => row.name === name));
  const title = (name) => name || '(none)';
  const choices = rows.map((row) => [title(row.name), title(row.name)]);
  const lines = [...callLines(a, b), ...traceLines(dimension, pair), ...scoreLines(dimension, pair)];
  const columns = [
    {key: 'figure', title: 'figure', value: (line) => line.figure, shown: (line) => said(line.figure)},
    {key: 'a', title: title(pair[0]), number: true, value: (line) => line.a, shown: (line) => [line.format(line.a), line.na ? h('span', {class: 'muted'}, ` of ${count(line.na)}`) : null]},
    {key: 'b', title: title(pair[1]), number: true, value: (line) => line.b, shown: (line) => [line.format(line.b), line.nb ? h('span', {class: 'muted'}, ` of ${count(line.nb)}`) : null]},
    {key: 'change', title: 'difference', number: true, value: (line) => line.b - line.a, shown: (line) => apart(line)},
  ];
  return [
    h('div', {class: 'controls'},
      picker('compare', choices, title(pair[0]), (value) => change({a: value, b: title(value === title(pair[1]) ? pair[0] : pair[1])}, true)),
      picker('with', choices, title(pair[1]), (value) => change({a: title(value === title(pair[0]) ? pair[1] : pair[0]), b: value}, true))),
    table(columns, lines, {caption: `${title(pair[0])} and ${title(pair[1])} compared`}),
    answersToTheSame(dimension, pair),
  ];
}

function callLines(a, b) {
  const each = (row, sum, n) => (n ? sum / n : null);
  const percent = (part) => (absent(part) ? NONE : share(part, 1));
  const line = (figure, value, format, kind) => ({figure, a: value(a), b: value(b), format, kind});
  return [
    line('calls', (row) => row.calls, exact),
    line('failed', (row) => each(row, row.failed, row.calls), percent, 'share'),
    line('latency of calls p50', (row) => row.p50, took),
    line('latency of calls p95', (row) => row.p95, took),
    line('tokens in, a call', (row) => each(row, row.tokens_in, row.calls - row.none), (value) => count(absent(value) ? null : Math.round(value))),
    line('tokens out, a call', (row) => each(row, row.tokens_out, row.calls - row.none), (value) => count(absent(value) ? null : Math.round(value))),
    line('cache hit', (row) => each(row, row.cached, row.cachedOf), percent, 'share'),
    line('cost of a priced call', (row) => each(row, row.cost, row.priced), money),
  ];
}

/** The rows of the list, of those that the filters leave, that belong to each of the two. */
function rowsOf(dimension, pair) {
  if (!list || dimension === 'name') return null;
  const belongs = (name) => dimension === 'user' ? (row) => list.user[row] === name : (row) => list[KEY_OF[dimension]][row] === core.dims[dimension].indexOf(name);
  const rows = traceRows().sort((x, y) => list.t[y] - list.t[x]);
  return pair.map((name) => rows.filter(belongs(name)));
}

/** Figures of traces; only where all of them are in the page. */
function traceLines(dimension, pair) {
  const both = list && list.n === core.traces ? rowsOf(dimension, pair) : null;
  if (!both) return [];
  const [a, b] = both.map((rows) => {
    const durations = rows.map((row) => list.d[row]).sort((x, y) => x - y);
    return {n: rows.length, p50: nearestRank(durations, 0.5), p95: nearestRank(durations, 0.95, 20), troubled: rows.length ? rows.filter((row) => list.state[row]).length / rows.length : null};
  });
  return [
    {figure: 'traces', a: a.n, b: b.n, format: exact},
    {figure: 'traces with an error', a: a.troubled, b: b.troubled, format: (part) => (absent(part) ? NONE : share(part, 1)), kind: 'share'},
    {figure: 'duration of traces p50', a: a.p50, b: b.p50, format: took},
    {figure: 'duration of traces p95', a: a.p95, b: b.p95, format: took},
  ];
}

function scoreLines(dimension, pair) {
  const held = isFiltered() && scores ? core.quality.evaluators.map(filteredScores).filter(Boolean) : core.quality.evaluators;
  return held.filter((one) => one.by[dimension]).map((one) => {
    const [a, b] = pair.map((name) => one.by[dimension].find((row) => row[0] === name) || [name, 0, null]);
    return {figure: `${one.name}, mean score`, a: a[2], b: b[2], na: a[1], nb: b[1], kind: 'score', format: (value) => (absent(value) ? NONE : value.toFixed(2))};
  }).filter((line) => line.na || line.nb);
}

/** +43%; of shares the difference in points, of scores the difference. */
function apart({a, b, kind}) {
  if (absent(a) || absent(b)) return NONE;
  if (kind === 'score') return difference(b - a);
  const sign = (value, digits) => (Number(Math.abs(value).toFixed(digits)) === 0 ? '\u00b10' : `${value > 0 ? '+' : '\u2212'}${Math.abs(value).toFixed(digits)}`);
  if (kind === 'share') return `${sign(100 * (b - a), 1)} points`;
  return a ? `${sign((100 * (b - a)) / a, 0)}%` : NONE;
}

/** What was asked of both, with both answers; the most different scores first. */
function answersToTheSame(dimension, pair) {
  const both = rowsOf(dimension, pair);
  if (!both) return null;
  const [first, second] = both.map((rows) => {
    const newest = new Map();
    for (const row of rows) if (list.question[row] && !newest.has(list.question[row])) newest.set(list.question[row], row);
    return newest;
  });
  const gap = ([, a, b]) => (list.score[a] < 0 || list.score[b] < 0 ? -1 : Math.abs(list.score[a] - list.score[b]));
  const found = [...first].filter(([asked]) => second.has(asked)).map(([asked, row]) => [asked, row, second.get(asked)]).sort((x, y) => gap(y) - gap(x)).slice(0, PAIRS);
  if (!found.length) return null;
  const answer = (row) => [link(to('trace', {}, list.id[row]), said(list.answer[row] || 'no answer')), list.score[row] < 0 ? null : [h('span', {class: 'muted'}, ' score '), scored(list.score[row])]];
  return [h('h4', {}, 'Answers to the same question'), table([
    {key: 'asked', title: 'asked', wide: true, value: ([asked]) => asked, shown: ([asked]) => said(asked)},
    {key: 'a', title: pair[0] || '(none)', wide: true, value: ([, row]) => row, shown: ([, row]) => answer(row)},
    {key: 'b', title: pair[1] || '(none)', wide: true, value: ([, , row]) => row, shown: ([, , row]) => answer(row)},
  ], found, {caption: 'The newest answers of both to the same question'})];
}
