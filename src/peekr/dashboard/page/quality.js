// How good the answers were, and what guards found.

function quality() {
  const {evaluators, worst, findings} = core.quality;
  if (!evaluators.length && !findings.length) {
    return [h('h2', {}, 'Quality'), empty('Nothing has been scored. Score answers as they come, or what is stored already:',
      code('peekr.instrument(evaluators=[peekr.eval.Rubric("The answer is correct and polite.")])'),
      code(`peekr eval ${core.file} --rubric "The answer is correct and polite."`))];
  }
  const shown = isFiltered() && scores ? evaluators.map(filteredScores).filter(Boolean) : evaluators;
  const left = isFiltered() && list ? new Set(traceRows().map((row) => list.id[row])) : null;
  const lowest = left ? worst.filter((one) => left.has(one.trace)) : worst;
  const found = left ? findings.map((one) => ({...one, traces: one.traces.filter((id) => left.has(id))})).filter((one) => one.traces.length) : findings;
  return [
    h('h2', {}, 'Quality'),
    isFiltered() && scores && scores.every > 1 ? h('p', {class: 'note'}, `\u2248 of a sample, 1 in ${scores.every} scores`) : null,
    shown.length || !evaluators.length ? null : noMatch('No scores match these filters'),
    shown.length ? panel('Scores', scoreSummary(shown)) : null,
    lowest.length ? panel('Lowest scores', left ? h('p', {class: 'note'}, 'Of the lowest in the file those that match.') : null, lowScores(lowest)) : null,
    shown.map(evaluator),
    found.length ? panel('What guards found', left ? h('p', {class: 'note'}, 'Findings in traces that match; the numbers are of the whole file.') : null, table([
      {key: 'guard', title: 'guard or pack', wide: true, value: (row) => row.guard, shown: (row) => said(row.guard || NONE)},
      {key: 'rule', title: 'rule', wide: true, value: (row) => row.rule, shown: (row) => said(row.rule || NONE)},
      {key: 'kind', title: 'kind', value: (row) => row.kind},
      {key: 'n', title: 'n', number: true, bar: true, value: (row) => row.n, shown: (row) => count(row.n)},
      {key: 'trace', title: 'newest', value: (row) => row.traces[0], shown: (row) => (row.traces.length ? link(to('trace', {}, row.traces[0]), 'open') : NONE)},
    ], found, {caption: 'Findings of guardrails and compliance packs'})) : null,
  ];
}

/** All evaluators at a glance, each with its course over time. */
function scoreSummary(rows) {
  return table([
    {key: 'name', title: 'evaluator', wide: true, value: (row) => row.name, shown: (row) => said(row.name)},
    {key: 'n', title: 'n', number: true, unit: 'n', value: (row) => row.n, shown: (row) => count(row.n)},
    {key: 'mean', title: 'mean', number: true, value: (row) => row.mean, shown: (row) => (row.mean === null ? NONE : row.mean.toFixed(2))},
    {key: 'below', title: 'below 0.5', number: true, value: (row) => below(row), shown: (row) => (below(row) ? h('span', {class: 'bad'}, `\u2715 ${count(below(row))} (${share(below(row), row.n)})`) : '0')},
    {key: 'low', title: 'lowest', number: true, value: (row) => row.low, shown: (row) => (row.low === null ? NONE : row.low.toFixed(2))},
    {key: 'trend', title: 'mean over time', value: (row) => row.n, shown: (row) => trend(means(row))},
  ], rows, {caption: 'Evaluators'});
}

function below(one) {
  return one.bins.slice(0, 5).reduce((sum, n) => sum + n, 0);
}

function means(one) {
  const values = new Array(core.buckets.count).fill(null);
  const sums = values.map(() => [0, 0]);
  one.series_n.forEach((n, i) => {
    if (!n) return;
    const place = Math.floor((one.buckets.start + i * one.buckets.step - core.buckets.start) / core.buckets.step);
    if (place < 0 || place >= sums.length) return;
    sums[place][0] += n;
    sums[place][1] += one.series_mean[i] * n;
  });
  sums.forEach(([n, sum], i) => {
    if (n) values[i] = sum / n;
  });
  return values;
}

function evaluator(one) {
  const values = means(one);
  const most = Math.max(...one.bins, 1);
  const histogram = h('div', {class: 'histogram', role: 'img', 'aria-label': `Scores by tenths: ${one.bins.join(', ')}`}, one.bins.map((n, i) => h('span', {title: `${(i / 10).toFixed(1)} to ${((i + 1) / 10).toFixed(1)}: ${n}`}, h('i', {style: {height: `${((100 * n) / most).toFixed(0)}%`}}))));
  const groups = Object.entries(one.by).filter(([, rows]) => rows.length > 1);
  return h('section', {class: 'panel'}, h('h3', {}, said(one.name)),
    h('p', {}, `mean ${one.mean === null ? NONE : one.mean.toFixed(2)} of ${plural(one.n, 'score')}, lowest ${one.low === null ? NONE : one.low.toFixed(2)}`, one.errors ? `; ${plural(one.errors, 'time')} no score could be given` : ''),
    h('div', {class: 'two'}, chart({title: 'Mean score over time', kind: 'lines', format: (value) => (value === null || value === undefined ? NONE : value.toFixed(2)), ticks: [0, 0.25, 0.5, 0.75, 1], series: [{name: 'mean', values, tone: 1}], note: `0 to 1, n = ${exact(one.n)}`}),
      h('div', {}, h('h4', {}, 'Distribution'), histogram, h('p', {class: 'muted ends'}, h('span', {}, '0'), h('span', {}, '1')))),
    groups.map(([dimension, rows]) => table([
      {key: 'name', title: dimension, wide: true, value: (row) => row[0], shown: (row) => said(row[0] || '(none)')},
      {key: 'n', title: 'n', number: true, value: (row) => row[1], shown: (row) => count(row[1])},
      {key: 'mean', title: 'mean', number: true, value: (row) => row[2], shown: (row) => row[2].toFixed(2)},
      {key: 'delta', title: 'against all', number: true, value: (row) => row[2] - one.mean, shown: (row) => difference(row[2] - one.mean)},
    ], rows, {caption: `${one.name} by ${dimension}`})));
}

/** An evaluator's figures again, of the scores that the filters leave; null where none is left. */
function filteredScores(one) {
  const place = core.quality.evaluators.indexOf(one);
  const keep = predicate(scores, (row) => (scores.s[row] ? 'error' : 'ok'));
  const n = core.buckets.count;
  const made = {name: one.name, n: 0, low: null, errors: 0, bins: new Array(10).fill(0), buckets: core.buckets, series_n: new Array(n).fill(0), by: {}};
  const sums = new Array(n).fill(0);
  const by = {model: new Map(), feature: new Map(), variant: new Map()};
  let whole = 0;
  for (let row = 0; row < scores.n; row++) {
    if (scores.e[row] !== place || !keep(row)) continue;
    const value = scores.v[row];
    const bucket = Math.min(n - 1, Math.max(0, Math.floor(scores.t[row] / (core.buckets.step * 1000))));
    made.n += 1;
    whole += value;
    made.low = made.low === null ? value : Math.min(made.low, value);
    made.bins[Math.min(9, Math.floor(value * 10))] += 1;
    made.series_n[bucket] += 1;
    sums[bucket] += value;
    for (const [dimension, groups] of Object.entries(by)) {
      const name = nameOf(dimension, scores[KEY_OF[dimension]][row]);
      const group = groups.get(name) || [name, 0, 0];
      group[1] += 1;
      group[2] += value;
      groups.set(name, group);
    }
  }
  if (!made.n) return null;
  made.mean = whole / made.n;
  made.series_mean = sums.map((sum, i) => (made.series_n[i] ? sum / made.series_n[i] : null));
  for (const [dimension, groups] of Object.entries(by)) made.by[dimension] = [...groups.values()].map(([name, count_, sum]) => [name, count_, sum / count_]).sort((a, b) => b[1] - a[1]);
  return made;
}

function lowScores(rows) {
  return table([
    {key: 'score', title: 'score', value: (row) => row.score, shown: (row) => link(to('trace', {}, row.trace, row.span), h('b', {class: 'bad'}, row.score.toFixed(2)))},
    {key: 'evaluator', title: 'evaluator', value: (row) => row.evaluator, shown: (row) => said(row.evaluator)},
    {key: 'question', title: 'asked', wide: true, value: (row) => row.question, shown: (row) => said(row.question || NONE)},
    {key: 'answer', title: 'answered', wide: true, value: (row) => row.answer, shown: (row) => [said(row.answer || NONE), row.details ? h('details', {}, h('summary', {}, 'Why'), detailsOf(row.details)) : null]},
  ], rows, {caption: 'The lowest scores', onrow: (row) => go('trace', {}, row.trace, row.span)});
}

function difference(value) {
  const size = Math.abs(value).toFixed(2);
  return size === '0.00' ? '\u00b10.00' : `${value > 0 ? '+' : '\u2212'}${size}`;
}

function detailsOf(text) {
  try {
    return tree(JSON.parse(text));
  } catch {
    return prose(text);
  }
}
