// What costs money, and for whom.

let costBy = 'model';

function cost() {
  if (!core.spans) return nothing();
  const {kpi, approximate} = present();
  if (!kpi.calls && isFiltered()) return noMatch('No calls match these filters');
  const dimensions = ['model', 'tenant', 'feature', 'endpoint', 'variant', 'user', 'name'].filter((name) => core.dims[name].length > 1);
  if (!dimensions.includes(costBy)) costBy = dimensions[0] || 'model';
  const rows = grouped(costBy).sort((a, b) => (b.cost || 0) - (a.cost || 0));
  const top = rows.filter((row) => row.cost).slice(0, 5);
  const choose = picker('By', dimensions.map((name) => [name, name === 'name' ? 'operation' : name]), costBy, (value) => {
    costBy = value;
    draw();
  });
  const columns = [
    {key: 'name', title: costBy === 'name' ? 'operation' : costBy, wide: true, value: (row) => row.name, shown: (row) => link(to('cost', {[costBy]: row.name || '(none)'}), said(row.name || '(none)'))},
    {key: 'cost', title: 'cost', number: true, unit: 'usd', bar: true, value: (row) => row.cost, shown: (row) => money(row.cost)},
    {key: 'each', title: 'a call', number: true, unit: 'usd', value: (row) => (row.priced ? row.cost / row.priced : null), shown: (row) => (row.priced ? money(row.cost / row.priced) : NONE)},
    {key: 'priced', title: 'priced', number: true, unit: 'n', value: (row) => row.priced, shown: (row) => count(row.priced)},
    {key: 'unpriced', title: 'unpriced', number: true, unit: 'n', value: (row) => row.unpriced, shown: (row) => count(row.unpriced)},
    {key: 'none', title: 'no usage', number: true, unit: 'n', value: (row) => row.none, shown: (row) => count(row.none)},
    {key: 'tokens_in', title: 'in', number: true, unit: 'n', value: (row) => row.tokens_in, shown: (row) => count(row.tokens_in)},
    {key: 'tokens_out', title: 'out', number: true, unit: 'n', value: (row) => row.tokens_out, shown: (row) => count(row.tokens_out)},
    {key: 'hit', title: 'cache hit', number: true, value: (row) => (row.cachedOf ? row.cached / row.cachedOf : null), shown: (row) => share(row.cached, row.cachedOf)},
  ];
  const series = costSeries(costBy, top);
  return [
    h('h2', {}, 'Cost'),
    approximate ? sampleNote() : null,
    h('p', {}, h('b', {class: 'big'}, money(kpi.cost)), ` for ${plural(kpi.priced, 'priced call')}; `,
      kpi.unpriced ? `${plural(kpi.unpriced, 'call')} with usage and no price (${kpi.unpriced_models.slice(0, 3).map(([name]) => name || 'no model').join(', ')}); ` : '',
      `${plural(kpi.no_usage, 'call')} without usage. Cache hit ${share(kpi.tokens_cached, kpi.cached_of)} of the input of calls that report it.`),
    core.kpi.eval_calls && !isFiltered() ? h('p', {class: 'note'}, `Evaluation is not in these figures: ${plural(core.kpi.eval_calls, 'call')} of judges, ${core.kpi.eval_cost === null ? 'no price known' : money(core.kpi.eval_cost)}.`) : null,
    series.length ? [chart({title: `Cost by ${costBy}`, kind: 'stack', format: money, series}), partNote() ? h('p', {class: 'note under'}, partNote()) : null] : null,
    h('section', {class: 'panel'}, h('div', {class: 'head'}, h('h3', {}, 'Who spends'), choose), table(columns, rows.slice(0, 40), {sort: sortOption('-cost'), onsort: sortBy, caption: `Cost by ${costBy}`})),
    dearest(),
  ];
}

function costSeries(dimension, top) {
  if (!isFiltered() && facts && facts.sampled && marginals && marginals[dimension]) return exactSeries(dimension, top);
  if (!facts) return [];
  const key = KEY_OF[dimension];
  const numbers = new Map(top.map((group, place) => [core.dims[dimension].indexOf(group.name), place]));
  const n = core.buckets.count;
  const made = top.map((group, place) => ({name: group.name || '(none)', tone: place + 1, values: new Array(n).fill(0)}));
  const other = {name: 'other', tone: 6, values: new Array(n).fill(0)};
  const keep = isFiltered() ? predicate(facts, (row) => (facts.s[row] ? 'error' : 'ok')) : () => true;
  for (let row = 0; row < facts.n; row++) {
    if (facts.c[row] < 0 || !keep(row)) continue;
    const bucket = Math.min(n - 1, Math.max(0, Math.floor(facts.t[row] / (core.buckets.step * 1000))));
    const place = numbers.get(facts[key][row]);
    (place === undefined ? other : made[place]).values[bucket] += (facts.c[row] / 1e6) * (facts.w ? facts.w[row] : 1);
  }
  if (other.values.some(Boolean)) made.push(other);
  return made;
}

/** The same of every call, where the calls in the page are a sample. */
function exactSeries(dimension, top) {
  const made = top.map((group, place) => ({name: group.name || '(none)', tone: place + 1, values: (marginals[dimension][group.name] || {series: {cost: []}}).series.cost}));
  const other = core.series.cost.map((whole, bucket) => Math.max(0, whole - made.reduce((sum, one) => sum + (one.values[bucket] || 0), 0)));
  if (other.some((value) => value > 1e-9)) made.push({name: 'other', tone: 6, values: other});
  return made;
}

function dearestRows() {
  if (!isFiltered() || !list) return core.dearest;
  return traceRows().filter((row) => list.c[row] > 0).sort((a, b) => list.c[b] - list.c[a]).slice(0, 20)
    .map((row) => ({trace: list.id[row], name: list.name[row], question: list.question[row], cost: list.c[row] / 1e6, tokens: list.tok[row], calls: list.llm[row], started: core.buckets.start + list.t[row] / 1000}));
}

function dearest() {
  const rows = dearestRows();
  if (!rows.length) return null;
  const columns = [
    {key: 'name', title: 'Trace', wide: true, value: (row) => row.name, shown: (row) => [link(to('trace', {}, row.trace), said(row.name)), ' ', said(row.question || '', {class: 'muted'})]},
    {key: 'started', title: 'started', number: true, value: (row) => row.started, shown: (row) => moment(row.started)},
    {key: 'calls', title: 'calls', number: true, unit: 'n', value: (row) => row.calls, shown: (row) => count(row.calls)},
    {key: 'tokens', title: 'tokens', number: true, unit: 'n', value: (row) => row.tokens, shown: (row) => count(row.tokens)},
    {key: 'cost', title: 'cost', number: true, unit: 'usd', bar: true, value: (row) => row.cost, shown: (row) => money(row.cost)},
  ];
  return panel('Dearest traces', isFiltered() ? h('p', {class: 'note'}, 'Of the traces in the list that match.') : null, table(columns, rows, {caption: 'The dearest traces'}));
}
