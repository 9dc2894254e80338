// How good the answers were, and what guards found.

function quality() {
  const {evaluators, worst, findings} = core.quality;
  if (!evaluators.length && !findings.length) {
    return [h('h2', {}, 'Quality'), empty('Nothing has been scored. Score answers as they come, or what is stored already:',
      code('peekr.instrument(evaluators=[peekr.eval.Rubric("The answer is correct and polite.")])'),
      code(`peekr eval ${core.file} --rubric "The answer is correct and polite."`))];
  }
  return [
    h('h2', {}, 'Quality'),
    isFiltered() ? h('p', {class: 'note'}, 'These figures are about the whole file; filters do not reach them.') : null,
    evaluators.map(evaluator),
    worst.length ? panel('Lowest scores', h('ol', {class: 'worst'}, worst.map(low))) : null,
    findings.length ? panel('What guards found', table([
      {key: 'guard', title: 'guard or pack', wide: true, value: (row) => row.guard, shown: (row) => said(row.guard || NONE)},
      {key: 'rule', title: 'rule', wide: true, value: (row) => row.rule, shown: (row) => said(row.rule || NONE)},
      {key: 'kind', title: 'kind', value: (row) => row.kind},
      {key: 'n', title: 'n', number: true, bar: true, value: (row) => row.n, shown: (row) => count(row.n)},
      {key: 'trace', title: 'newest', value: (row) => row.traces[0], shown: (row) => (row.traces.length ? link(to('trace', {}, row.traces[0]), 'open') : NONE)},
    ], findings, {caption: 'Findings of guardrails and compliance packs'})) : null,
  ];
}

function evaluator(one) {
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
  const most = Math.max(...one.bins, 1);
  const histogram = h('div', {class: 'histogram', role: 'img', 'aria-label': `Scores by tenths: ${one.bins.join(', ')}`}, one.bins.map((n, i) => h('span', {title: `${(i / 10).toFixed(1)} to ${((i + 1) / 10).toFixed(1)}: ${n}`}, h('i', {style: {height: `${((100 * n) / most).toFixed(0)}%`}}))));
  const groups = Object.entries(one.by).filter(([, rows]) => rows.length > 1);
  return h('section', {class: 'panel'}, h('h3', {}, said(one.name)),
    h('p', {}, `mean ${one.mean === null ? NONE : one.mean.toFixed(2)} of ${plural(one.n, 'score')}, lowest ${one.low === null ? NONE : one.low.toFixed(2)}`, one.errors ? `; ${plural(one.errors, 'time')} no score could be given` : ''),
    h('div', {class: 'two'}, chart({title: 'Mean score over time', kind: 'lines', format: (value) => (value === null || value === undefined ? NONE : value.toFixed(2)), series: [{name: 'mean', values, tone: 1}], note: `0 to 1, n = ${exact(one.n)}`}),
      h('div', {}, h('h4', {}, 'Distribution'), histogram, h('p', {class: 'muted ends'}, h('span', {}, '0'), h('span', {}, '1')))),
    groups.map(([dimension, rows]) => table([
      {key: 'name', title: dimension, wide: true, value: (row) => row[0], shown: (row) => said(row[0] || '(none)')},
      {key: 'n', title: 'n', number: true, value: (row) => row[1], shown: (row) => count(row[1])},
      {key: 'mean', title: 'mean', number: true, value: (row) => row[2], shown: (row) => row[2].toFixed(2)},
      {key: 'delta', title: 'against all', number: true, value: (row) => row[2] - one.mean, shown: (row) => `${row[2] - one.mean >= 0 ? '+' : '\u2212'}${Math.abs(row[2] - one.mean).toFixed(2)}`},
    ], rows, {caption: `${one.name} by ${dimension}`})));
}

function low(one) {
  return h('li', {}, h('p', {}, h('b', {class: 'bad'}, `${one.score.toFixed(2)} `), said(one.evaluator), ' ', link(to('trace', {}, one.trace, one.span), 'open the trace')),
    h('p', {}, h('span', {class: 'muted'}, 'asked '), said(one.question || NONE)), h('p', {}, h('span', {class: 'muted'}, 'answered '), said(one.answer || NONE)),
    one.details ? h('details', {}, h('summary', {}, 'Why'), detailsOf(one.details)) : null);
}

function detailsOf(text) {
  try {
    return tree(JSON.parse(text));
  } catch {
    return prose(text);
  }
}
