// Sums over the calls that the filters leave; without filters the exact ones that Python made.

function isFiltered() {
  return Object.keys(filters()).some((key) => key !== 'q');
}

/** A predicate over rows of columns that have the keys of DIMENSIONS, t (ms) and a status. */
function predicate(columns, statusOf) {
  const wanted = filters();
  const tests = [];
  for (const [name, key] of Object.entries(KEY_OF)) {
    if (wanted[name] === undefined || !columns[key]) continue;
    const number = core.dims[name].indexOf(wanted[name] === '(none)' ? '' : wanted[name]);
    tests.push((row) => columns[key][row] === number);
  }
  const start = core.buckets.start;
  if (wanted.from) tests.push((row) => start + columns.t[row] / 1000 >= Number(wanted.from));
  if (wanted.to) tests.push((row) => start + columns.t[row] / 1000 < Number(wanted.to));
  if (wanted.cut && columns.x) tests.push((row) => columns.x[row] === 1);
  if (wanted.status) tests.push((row) => statusOf(row) === wanted.status);
  return (row) => tests.every((test) => test(row));
}

function nearestRank(ordered, part, least) {
  const n = ordered.length;
  if (n < Math.max(least || 1, 1)) return null;
  return ordered[Math.min(n - 1, Math.max(0, Math.ceil(part * n) - 1))];
}

function emptySeries() {
  const n = core.buckets.count;
  const made = {};
  for (const name of ['calls', 'failed', 'tokens_in', 'tokens_out', 'tokens_cached', 'cost']) made[name] = new Array(n).fill(0);
  return made;
}

/** Everything that the overview shows, of the calls for which `keep` is true. */
function aggregate(keep) {
  const series = emptySeries();
  const kpi = {calls: 0, failed: 0, tokens_in: 0, tokens_out: 0, tokens_cached: 0, tokens_reasoning: 0, cached_of: 0, cost: 0, priced: 0, unpriced: 0, no_usage: 0, cut_short: 0};
  const durations = series.calls.map(() => []);
  const waits = series.calls.map(() => []);
  const unpriced = new Map();
  const stepMs = core.buckets.step * 1000;
  for (let row = 0; row < facts.n; row++) {
    if (!keep(row)) continue;
    const weight = facts.w ? facts.w[row] : 1;
    const bucket = Math.min(series.calls.length - 1, Math.max(0, Math.floor(facts.t[row] / stepMs)));
    kpi.calls += weight;
    series.calls[bucket] += weight;
    if (facts.s[row]) {
      kpi.failed += weight;
      series.failed[bucket] += weight;
    } else {
      if (facts.d[row] >= 0) durations[bucket].push(facts.d[row]);
      if (facts.f[row] >= 0) waits[bucket].push(facts.f[row]);
    }
    const sent = facts.in[row];
    const made = facts.out[row];
    if (sent >= 0 || made >= 0) {
      const cached = facts.ca[row];
      kpi.tokens_in += Math.max(0, sent) * weight;
      kpi.tokens_out += Math.max(0, made) * weight;
      series.tokens_in[bucket] += Math.max(0, sent) * weight;
      series.tokens_out[bucket] += Math.max(0, made) * weight;
      kpi.tokens_reasoning += Math.max(0, facts.re[row]) * weight;
      if (cached >= 0) {
        kpi.tokens_cached += cached * weight;
        series.tokens_cached[bucket] += cached * weight;
        kpi.cached_of += Math.max(0, sent) * weight;
      }
    } else kpi.no_usage += weight;
    if (facts.c[row] >= 0) {
      kpi.priced += weight;
      kpi.cost += (facts.c[row] / 1e6) * weight;
      series.cost[bucket] += (facts.c[row] / 1e6) * weight;
    }
    if (facts.u[row]) {
      kpi.unpriced += weight;
      unpriced.set(facts.m[row], (unpriced.get(facts.m[row]) || 0) + weight);
    }
    if (facts.x[row]) kpi.cut_short += weight;
  }
  const byNumber = (a, b) => a - b;
  for (const held of [...durations, ...waits]) held.sort(byNumber);
  const all = durations.flat().sort(byNumber);
  const first = waits.flat().sort(byNumber);
  kpi.ok_calls = all.length;
  kpi.p50 = nearestRank(all, 0.5);
  kpi.p95 = nearestRank(all, 0.95, 20);
  kpi.p99 = nearestRank(all, 0.99, 100);
  kpi.ttft_p50 = nearestRank(first, 0.5);
  kpi.ttft_n = first.length;
  if (!kpi.priced) kpi.cost = null;
  kpi.unpriced_models = [...unpriced].sort((a, b) => b[1] - a[1]).map(([number, n]) => [nameOf('model', number), n]);
  series.p50 = durations.map((held) => nearestRank(held, 0.5));
  series.p95 = durations.map((held) => nearestRank(held, 0.95, 20));
  series.ttft = waits.map((held) => nearestRank(held, 0.5));
  return {kpi, series, approximate: Boolean(facts.sampled)};
}

/** The exact figures where one filter alone is set and the calls in the page are a sample. */
function marginal() {
  const set = Object.entries(filters()).filter(([key]) => key !== 'q');
  if (!facts.sampled || !marginals || set.length !== 1) return null;
  const [name, value] = set[0];
  const found = marginals[name] && marginals[name][value === '(none)' ? '' : value];
  return found ? {kpi: {...found.kpi, unpriced_models: []}, series: found.series} : null;
}

/** What stands beside figures of a sample. */
function sampleNote() {
  return h('p', {class: 'note'}, `\u2248 Estimated from ${facts.sampled} calls and the failed ones. A single filter by model, tenant, feature, endpoint, variant or user is exact.`);
}

let remembered = {key: null, value: null};

/** The figures that the present filters leave. */
function present() {
  if (!isFiltered() || !facts) return {kpi: core.kpi, series: core.series, approximate: false};
  const alone = marginal();
  if (alone) return {...alone, approximate: false};
  const key = JSON.stringify({...filters(), q: ''});
  if (remembered.key !== key) {
    const status = (row) => (facts.s[row] ? 'error' : 'ok');
    remembered = {key, value: aggregate(predicate(facts, status))};
  }
  return remembered.value;
}

/** Rows of a dimension: calls, failures, latency, tokens, cost; the largest first. */
function grouped(dimension) {
  if (!isFiltered() && core.by[dimension]) {
    return core.by[dimension].map((row) => ({...row, tokens: row.tokens_in + row.tokens_out, cached: row.tokens_cached, cachedOf: row.cached_of, none: row.no_usage}));
  }
  if (!facts) return [];
  const key = KEY_OF[dimension];
  const groups = new Map();
  const keep = isFiltered() ? predicate(facts, (row) => (facts.s[row] ? 'error' : 'ok')) : () => true;
  for (let row = 0; row < facts.n; row++) {
    if (!keep(row)) continue;
    const number = facts[key][row];
    let group = groups.get(number);
    if (!group) groups.set(number, (group = {name: nameOf(dimension, number), calls: 0, failed: 0, tokens: 0, tokens_in: 0, tokens_out: 0, cached: 0, cachedOf: 0, cost: 0, priced: 0, unpriced: 0, none: 0, durations: []}));
    const weight = facts.w ? facts.w[row] : 1;
    group.calls += weight;
    if (facts.s[row]) group.failed += weight;
    else if (facts.d[row] >= 0) group.durations.push(facts.d[row]);
    const sent = Math.max(0, facts.in[row]);
    const made = Math.max(0, facts.out[row]);
    group.tokens_in += sent * weight;
    group.tokens_out += made * weight;
    group.tokens += (sent + made) * weight;
    if (facts.ca[row] >= 0) {
      group.cached += facts.ca[row] * weight;
      group.cachedOf += sent * weight;
    }
    if (facts.c[row] >= 0) {
      group.cost += (facts.c[row] / 1e6) * weight;
      group.priced += weight;
    } else if (facts.u[row]) group.unpriced += weight;
    else group.none += weight;
  }
  const made = [...groups.values()];
  for (const group of made) {
    group.durations.sort((a, b) => a - b);
    group.p50 = nearestRank(group.durations, 0.5);
    group.p95 = nearestRank(group.durations, 0.95, 20);
    if (!group.priced) group.cost = null;
  }
  return made.sort((a, b) => b.calls - a.calls);
}
