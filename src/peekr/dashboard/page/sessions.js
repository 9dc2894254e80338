// Conversations, read from the top to the bottom.

const GAP_S = 1800;

function sessions() {
  if (!core.session_list.length) {
    return [h('h2', {}, 'Sessions'), empty('No trace belongs to a session. A block says which one:', code('with peekr.session(user_id="u-17", session_id="chat-42"):\n    ...'))];
  }
  const wanted = filters();
  const words = (wanted.q || '').toLowerCase();
  // By what only traces say, a session belongs where one of its listed traces does.
  const narrowed = list && ['model', 'feature', 'endpoint', 'variant'].some((key) => wanted[key] !== undefined);
  const within = narrowed ? new Set(traceRows().map((row) => list.session[row])) : null;
  const rows = core.session_list.filter((one) => (!within || within.has(one.id)) && (!wanted.user || one.user === wanted.user) && (!wanted.tenant || one.tenant === wanted.tenant) && (!words || `${one.id} ${one.user} ${one.asked}`.toLowerCase().includes(words)) && (!wanted.from || one.last >= Number(wanted.from)) && (!wanted.to || one.first < Number(wanted.to)) && (!wanted.status || (wanted.status === 'ok') === !one.errors));
  const columns = [
    {key: 'id', title: 'Session', wide: true, value: (row) => row.id, shown: (row) => link(to('session', {}, row.id), said(row.id))},
    {key: 'asked', title: 'first asked', wide: true, value: (row) => row.asked, shown: (row) => said(row.asked || NONE)},
    {key: 'user', title: 'user', value: (row) => row.user, shown: (row) => said(row.user || NONE)},
    {key: 'turns', title: 'turns', number: true, unit: 'n', value: (row) => row.turns, shown: (row) => count(row.turns)},
    {key: 'active', title: 'active time', number: true, unit: 'ms', value: (row) => row.active_ms, shown: (row) => took(row.active_ms)},
    {key: 'cost', title: 'cost', number: true, unit: 'usd', value: (row) => row.cost, shown: (row) => money(row.cost)},
    {key: 'errors', title: 'errors', number: true, value: (row) => row.errors, shown: (row) => (row.errors ? h('span', {class: 'bad'}, `\u2715 ${row.errors}`) : '0')},
    {key: 'score', title: 'lowest score', number: true, value: (row) => row.score, shown: (row) => scored(row.score)},
    {key: 'last', title: 'last', number: true, value: (row) => row.last, shown: (row) => moment(row.last)},
  ];
  return [h('h2', {}, `Sessions (${exact(rows.length)} of ${exact(core.sessions)})`), rows.length ? table(columns, rows.slice(0, 500), {sort: sortOption('-last'), onsort: sortBy, caption: 'Sessions', onrow: (row) => go('session', {}, row.id)}) : noMatch('No sessions match')];
}

/** A score in a list: a low one stands out, by its sign too. */
function scored(score) {
  if (absent(score)) return NONE;
  return score < 0.5 ? h('span', {class: 'bad'}, `\u2715 ${score.toFixed(2)}`) : score.toFixed(2);
}

async function sessionView() {
  const id = at.id;
  const one = core.session_list.find((each) => each.id === id);
  if (!one) return [h('h2', {}, 'Session ', said(id)), empty('This session is not in the page. The file has it:', code(`peekr view ${core.file} --session ${id} --io`))];
  const turns = await Promise.all(one.traces.map(async (trace) => [trace, await detail(trace)]));
  if (at.view !== 'session' || at.id !== id) return null;
  const ordered = turns.map(([trace, found]) => {
    const row = list ? list.row.get(trace) : undefined;
    return {trace, found, row, started: found ? found.started : row !== undefined ? core.buckets.start + list.t[row] / 1000 : null};
  }).sort((a, b) => (a.started || 0) - (b.started || 0));
  const blocks = [];
  let ended = null;
  for (const turn of ordered) {
    if (ended !== null && turn.started !== null && turn.started - ended > GAP_S) blocks.push(h('p', {class: 'gap'}, `${took((turn.started - ended) * 1000)} later`));
    blocks.push(turnBlock(turn));
    if (turn.started !== null) ended = turn.started + (turn.row !== undefined ? list.d[turn.row] / 1000 : 0);
  }
  const missing = one.turns - one.traces.length;
  return [h('p', {class: 'crumbs'}, link(to('sessions', {}), '\u2190 Sessions')), h('h2', {}, 'Session ', said(id)),
    h('p', {}, `${plural(one.turns, 'turn')} \u00b7 ${took(one.active_ms)} active \u00b7 ${money(one.cost)} \u00b7 ${plural(one.errors, 'error')}`, one.user ? [' \u00b7 user ', said(one.user)] : null),
    missing > 0 ? h('p', {class: 'note'}, `${plural(missing, 'earlier turn')} not shown`) : null,
    h('div', {class: 'turns'}, blocks)];
}

function turnBlock({trace, found, row, started}) {
  const head = h('p', {class: 'muted'}, moment(started));
  if (!found && row === undefined) return h('article', {class: 'turn'}, head, h('p', {}, 'A trace that is not in the page: ', code(`peekr view ${core.file} --trace ${trace} --io`)));
  const question = found ? fullQuestion(found) : list.question[row];
  const answer = found ? fullAnswer(found) : list.answer[row];
  const tools = row !== undefined ? list.tools[row] : 0;
  const facts_ = row === undefined ? '' : `${plural(tools, 'tool call')}, ${took(list.d[row])}, ${money(list.c[row] < 0 ? null : list.c[row] / 1e6)}`;
  const state = row === undefined ? 0 : list.state[row];
  return h('article', {class: 'turn'}, head,
    h('div', {class: 'message role-user'}, h('header', {}, h('h5', {}, 'user')), prose(question || NONE)),
    h('p', {class: 'between'}, link(to('trace', {}, trace), `${facts_} \u203a`), state ? h('span', {class: state === 2 ? 'bad' : 'warned'}, ` ${STATES[state][0]} ${STATES[state][1]}`) : null, row !== undefined && list.score[row] >= 0 ? [' \u00b7 score ', scored(list.score[row])] : null),
    h('div', {class: 'message role-assistant'}, h('header', {}, h('h5', {}, 'assistant')), prose(answer || NONE)));
}

function textOf(value, last) {
  if (typeof value === 'string') return value;
  if (value && Array.isArray(value.cut)) return `${value.cut[0]} \u2026 ${value.cut[1]}`;
  if (isMessages(value)) {
    const found = [...value].reverse().find((entry) => (last ? entry.content : entry.role === 'user'));
    return found ? textOf(found.content, last) : '';
  }
  if (Array.isArray(value)) return value.map((part) => part && (part.content || part.text)).filter((text) => typeof text === 'string').join('\n');
  if (value && typeof value === 'object') return Object.values(value).find((entry) => typeof entry === 'string') || '';
  return '';
}

function fullQuestion(found) {
  const calls = found.spans.filter((span) => span.kind === 'llm');
  return textOf(found.spans[0].input) || (calls.length ? textOf(calls[0].input) : '');
}

function fullAnswer(found) {
  const calls = found.spans.filter((span) => span.kind === 'llm' && span.output);
  return textOf(found.spans[0].output, true) || (calls.length ? textOf(calls[calls.length - 1].output, true) : '');
}
