// What broke, since when, and where the time and the money go.

const GLYPHS = {llm: '\u25cf', embedding: '\u25c9', tool: '\u25a0', agent: '\u25c6', http: '\u25b2', app: '\u25cb', guard: '\u25c7', eval: '\u25a1'};
const STATES = [['\u2713', 'ok'], ['\u21bb', 'recovered'], ['\u2715', 'failed']];
let groupBy = 'model';

function overview() {
  if (!core.spans) return nothing();
  const {kpi, series, approximate} = present();
  if (!kpi.calls && isFiltered()) return noMatch('No calls match these filters');
  if (!kpi.calls) return withoutCalls();
  const mark = approximate ? '\u2248 ' : '';
  return [
    h('h2', {class: 'hidden'}, 'Overview'),
    approximate ? sampleNote() : null,
    tiles(kpi, series, mark),
    attention(kpi),
    h('div', {class: 'charts'},
      chart({title: 'Calls', kind: 'bars', format: count, series: [{name: 'calls', values: series.calls, tone: 1}]}),
      chart({title: 'Latency of calls', none: 'Every call failed', kind: 'lines', log: true, format: took, series: [{name: 'p50', values: series.p50, tone: 1}, {name: 'p95', values: series.p95, tone: 2}]}),
      chart({title: 'Failed calls', none: kpi.calls === 1 ? 'The one call did not fail' : `None of ${exact(kpi.calls)} calls failed`, kind: 'bars', format: count, series: [{name: 'failed', values: series.failed, tone: 'error'}]}),
      chart({title: 'Failed traces', none: 'No trace with a failure', kind: 'stack', format: count, series: troubled()}),
      chart({title: 'Tokens', none: 'No call reports tokens', kind: 'stack', format: count, series: [{name: 'input', values: series.tokens_in, tone: 1}, {name: 'cached input', values: series.tokens_cached, inside: true}, {name: 'output', values: series.tokens_out, tone: 2}]}),
      chart({title: 'Cost', none: 'No call with a price', kind: 'bars', format: money, series: [{name: 'cost', values: series.cost, tone: 1}]})),
    partNote() ? h('p', {class: 'note under'}, partNote()) : null,
    work(),
    errors(),
    byDimension(),
  ];
}

/** A file of other work: what there is, and what records calls. */
function withoutCalls() {
  return [
    h('h2', {class: 'hidden'}, 'Overview'),
    empty(`There is no model call in this file: ${plural(core.spans, 'span')} of other work in ${plural(core.traces, 'trace')}. Calls are recorded from here on:`, code('import peekr\npeekr.instrument()')),
    core.attention.length ? attention(core.kpi) : null,
    work(),
    errors(),
  ];
}

/** Traces that failed and that recovered over time; with filters those of the list. */
function troubled() {
  let {failed_traces: failed, recovered} = core.series;
  if (isFiltered() && list) {
    failed = failed.map(() => 0);
    recovered = failed.map(() => 0);
    for (const row of traceRows()) {
      if (!list.state[row]) continue;
      const bucket = Math.floor(list.t[row] / (core.buckets.step * 1000));
      (list.state[row] === 2 ? failed : recovered)[Math.min(failed.length - 1, Math.max(0, bucket))] += 1;
    }
  }
  return [{name: '\u2715 failed', values: failed, tone: 'error'}, {name: '\u21bb recovered', values: recovered, tone: 2}];
}

function tiles(kpi, series, mark) {
  // The exact figure is told to the pointer, to the focus and to a screen reader.
  const tile = (label, value, detail, values, title) => h('div', {class: 'tile', role: 'group', 'aria-label': label, tabindex: title ? '0' : null, 'data-exact': title || null}, h('p', {class: 'label'}, label), h('p', {class: 'value'}, value), h('p', {class: 'detail'}, detail || '\u00a0'), values ? sparkline(values) : null);
  const unpriced = kpi.unpriced ? `${plural(kpi.unpriced, 'unpriced call')} (${kpi.unpriced_models.slice(0, 2).map(([name]) => name || 'no model').join(', ')})` : kpi.priced ? `${money(kpi.cost / kpi.priced)} a priced call` : 'no priced calls';
  return h('div', {class: 'tiles'},
    tile('Calls', mark + count(kpi.calls), isFiltered() ? `of ${exact(core.kpi.calls)} in the file` : `in ${plural(core.traces, 'trace')}`, series.calls, exact(kpi.calls)),
    tile('Failed', kpi.failed ? [h('span', {class: 'bad'}, `\u2715 ${count(kpi.failed)}`), ` ${share(kpi.failed, kpi.calls)}`] : '0', isFiltered() ? `of ${plural(kpi.calls, 'call')}` : `${plural(core.kpi.traces_failed, 'trace')} failed, ${exact(core.kpi.traces_recovered)} recovered`, series.failed, `${exact(kpi.failed)} of ${plural(kpi.calls, 'call')}`),
    tile('Latency p50', took(kpi.p50), `p95 ${took(kpi.p95)}, p99 ${took(kpi.p99)}`, series.p50, `nearest rank of ${exact(kpi.ok_calls)} ok calls`),
    tile('First token p50', took(kpi.ttft_p50), `${exact(kpi.ttft_n)} of ${exact(kpi.calls)} report it`, series.ttft),
    tile('Tokens', mark + count(kpi.tokens_in + kpi.tokens_out), `${count(kpi.tokens_in)} in, ${count(kpi.tokens_out)} out`, series.tokens_in.map((v, i) => v + series.tokens_out[i]), `${exact(kpi.tokens_in)} in, ${exact(kpi.tokens_out)} out`),
    tile('Cost', mark + money(kpi.cost), unpriced, series.cost, kpi.cost === null ? '' : `$${kpi.cost}`));
}

function attention(kpi) {
  const signs = {error: '\u2715', warn: '\u25b2', info: '\u2139'};
  if (!core.attention.length) return panel('Needs attention', h('p', {}, `Nothing stands out in ${plural(kpi.calls, 'call')}.`));
  return panel(isFiltered() ? 'Needs attention, in the whole file' : 'Needs attention', h('ul', {class: 'attention'}, core.attention.map((one) => h('li', {class: one.level}, h('span', {'aria-hidden': 'true', class: 'sign'}, signs[one.level]), link(one.link, said(one.text), one.since ? ` since ${moment(one.since).replace(/:\d\d$/, '')}` : null)))));
}

/** A line over time in a cell; its numbers are in the charts and the other columns. */
function trend(values) {
  const line = values && values.length ? sparkline(values) : null;
  return line ? h('span', {class: 'trend'}, line) : NONE;
}

/** Of filtered calls only their own time is known: what is around them is not filtered by model. */
function workRows() {
  if (!isFiltered()) return core.work.slice(0, 12);
  return grouped('name').map((row) => ({kind: row.isEmbedding ? 'embedding' : 'llm', name: row.name, n: row.calls, errors: row.failed, p50: row.p50, p95: row.p95, self_ms: row.durations.reduce((sum, ms) => sum + ms, 0) * (facts.sampled ? row.calls / Math.max(1, row.durations.length + row.failed) : 1)})).sort((a, b) => b.self_ms - a.self_ms).slice(0, 12);
}

function work() {
  if (isFiltered() && !facts) return null;
  const columns = [
    {key: 'name', title: 'Work', value: (row) => row.name, shown: (row) => [h('span', {class: `kind kind-${row.kind}`, 'aria-hidden': 'true'}, GLYPHS[row.kind]), '\u00a0', said(row.name), h('span', {class: 'muted'}, ` ${row.kind}`)], wide: true},
    {key: 'n', title: 'n', number: true, unit: 'n', value: (row) => row.n, shown: (row) => count(row.n)},
    {key: 'errors', title: 'errors', number: true, value: (row) => row.errors, shown: (row) => (row.errors ? h('span', {class: 'bad'}, `\u2715 ${count(row.errors)}`) : '0')},
    {key: 'p50', title: 'p50', number: true, unit: 'ms', value: (row) => row.p50, shown: (row) => took(row.p50)},
    {key: 'p95', title: 'p95', number: true, unit: 'ms', value: (row) => row.p95, shown: (row) => took(row.p95)},
    ...(isFiltered() ? [] : [{key: 'pace', title: 'p50 over time', value: (row) => (row.pace && row.pace.length ? 1 : null), shown: (row) => trend(row.pace)}]),
    {key: 'self', title: 'self time', number: true, unit: 'ms', bar: true, value: (row) => row.self_ms, shown: (row) => took(row.self_ms)},
  ];
  return panel('Where time goes', isFiltered() ? h('p', {class: 'note'}, 'Model calls alone: what is around them has no model or variant to filter by.') : null, table(columns, workRows(), {caption: 'Time by kind and name of work'}));
}

/** The errors of the listed traces that the filters leave; without filters those of the file. */
function errorRows() {
  if (!isFiltered() || !list) return core.errors.slice(0, 20);
  const groups = new Map();
  const named = new Map(core.errors.map((one) => [one.key, one]));
  for (const row of traceRows()) {
    const key = list.group[row];
    if (!key) continue;
    const at_ = core.buckets.start + list.t[row] / 1000;
    const known = named.get(key);
    let group = groups.get(key);
    if (!group) groups.set(key, (group = {key, name: known ? known.name : '', model: known ? known.model : '', n: 0, first: at_, last: at_, traces: [list.id[row]]}));
    group.n += 1;
    group.first = Math.min(group.first, at_);
    group.last = Math.max(group.last, at_);
  }
  return [...groups.values()].sort((a, b) => b.n - a.n).slice(0, 20);
}

function errors() {
  const rows = errorRows();
  if (!rows.length) return null;
  const columns = [
    {key: 'key', title: 'Error', wide: true, value: (row) => row.key, shown: (row) => (row.traces.length ? link(to('trace', {}, row.traces[0]), said(row.key)) : said(row.key))},
    {key: 'where', title: 'where', value: (row) => row.model || row.name, shown: (row) => said(row.model || row.name)},
    {key: 'n', title: isFiltered() ? 'traces' : 'n', number: true, unit: 'n', value: (row) => row.n, shown: (row) => link(address('traces', {...filters(), q: row.key}), count(row.n))},
    ...(isFiltered() ? [] : [{key: 'series', title: 'over time', value: (row) => row.n, shown: (row) => trend(row.series)}]),
    {key: 'first', title: 'first', number: true, value: (row) => row.first, shown: (row) => moment(row.first)},
    {key: 'last', title: 'last', number: true, value: (row) => row.last, shown: (row) => moment(row.last)},
  ];
  return panel('Errors', isFiltered() ? h('p', {class: 'note'}, 'Of the traces in the list that match.') : null, table(columns, rows, {caption: 'Failures that read alike, ids and numbers masked'}));
}

function byDimension() {
  const dimensions = ['model', 'tenant', 'feature', 'endpoint', 'variant', 'user'].filter((name) => core.dims[name].length > 1);
  if (!dimensions.length) return null;
  if (dimensions.includes(at.options.by)) groupBy = at.options.by;
  if (!dimensions.includes(groupBy)) groupBy = dimensions[0];
  const rows = grouped(groupBy);
  const columns = [
    {key: 'name', title: groupBy, wide: true, value: (row) => row.name, shown: (row) => link(to(at.view, {[groupBy]: row.name || '(none)'}), said(row.name || '(none)'))},
    {key: 'calls', title: 'calls', number: true, unit: 'n', bar: true, value: (row) => row.calls, shown: (row) => count(row.calls)},
    {key: 'failed', title: 'failed', number: true, value: (row) => row.failed, shown: (row) => (row.failed ? h('span', {class: 'bad'}, `\u2715 ${share(row.failed, row.calls)}`) : '0%')},
    {key: 'p50', title: 'p50', number: true, unit: 'ms', value: (row) => row.p50, shown: (row) => took(row.p50)},
    {key: 'p95', title: 'p95', number: true, unit: 'ms', value: (row) => row.p95, shown: (row) => took(row.p95)},
    {key: 'tokens', title: 'tokens', number: true, unit: 'n', value: (row) => row.tokens, shown: (row) => count(row.tokens)},
    {key: 'cost', title: 'cost', number: true, unit: 'usd', value: (row) => row.cost, shown: (row) => [money(row.cost), row.unpriced ? h('span', {class: 'muted'}, ` +${count(row.unpriced)} unpriced`) : null]},
  ];
  const choose = picker('By', dimensions.map((name) => [name, name]), groupBy, (value) => change({by: value, a: '', b: ''}, true));
  const isCompared = at.options.compare === '1' && rows.length > 1;
  const toggle = rows.length > 1 ? button(isCompared ? 'All' : 'Compare two', () => change({by: groupBy, compare: isCompared ? '' : '1', a: '', b: ''}, true), {class: 'quiet', id: 'compare', 'aria-pressed': String(isCompared)}) : null;
  return h('section', {class: 'panel'}, h('div', {class: 'head'}, h('h3', {}, `By ${groupBy}`), h('span', {class: 'tools'}, toggle, choose)), isCompared ? comparison(groupBy, rows) : table(columns, rows.slice(0, 40), {sort: sortOption('-calls'), onsort: sortBy, caption: `Calls by ${groupBy}`}));
}

function nothing() {
  return empty('There are no records in this file yet. Two lines make some:', code('import peekr\npeekr.instrument(storage="sqlite")'));
}

function noMatch(text) {
  return empty(text, button('Clear filters', clearFilters));
}

function clearFilters() {
  location.hash = address(at.view, {}, at.id, at.span);
}
