// Can these figures be trusted: what they are about, how they are defined, what was left out.

function about() {
  const rows = [
    ['Call', 'A record of a model call or an embedding; Peekr\u2019s own calls of judges are counted apart.'],
    ['Failed', 'Calls with an error, of all calls.'],
    ['Trace', 'Failed: its root failed. Recovered: something in it failed, its root did not.'],
    ['Latency', 'Nearest rank over calls without an error. p95 needs 20 of them, p99 needs 100.'],
    ['Tokens and cost', 'Sums over calls that are counted once: a span with usage above another span with usage repeats it (\u03a3) and is left out. Cached tokens are a part of the input, reasoning a part of the output.'],
    ['Unpriced', 'Usage was reported and no price is known; such a call adds nothing to the cost.'],
    ['Self time', 'A span\u2019s duration without what its children cover.'],
    ['Filters', core.sampled ? `A single filter by model, tenant, feature, endpoint, variant or user is exact. Others, and several at once, are estimated (\u2248) from the calls in the page: ${core.sampled}, and the failed ones.` : 'Over the calls in the page, which are all there are.'],
  ];
  return [
    h('h2', {}, 'About this data'),
    h('dl', {class: 'facts'}, [
      ['file', `${core.file}, ${exact(core.bytes)} bytes`],
      ['records', `${exact(core.spans)} spans in ${exact(core.traces)} traces, ${moment(core.first)} to ${moment(core.last)}`],
      ['made', `${moment(core.made)} by peekr ${core.version}`],
      ['could not be read', core.problems || 'nothing'],
      ['traces that can be opened', `${exact(core.embedded.traces)}: ${core.embedded.why.map(([why, n]) => `${exact(n)} ${why}`).join(', ')}`],
    ].map(([key, value]) => [h('dt', {}, key), h('dd', {}, said(value))])),
    h('h3', {}, 'How figures are defined'),
    h('dl', {class: 'facts'}, rows.map(([key, value]) => [h('dt', {}, key), h('dd', {}, value)])),
    h('h3', {}, 'Keys'),
    h('dl', {class: 'facts'}, KEYS.map(([key, value]) => [h('dt', {class: 'mono'}, key), h('dd', {}, value)])),
    h('label', {class: 'check'}, h('input', {type: 'checkbox', checked: keysOn, onchange: (event) => {
      keysOn = event.target.checked;
    }}), ' Keys work'),
  ];
}

const KEYS = [
  ['1 to 5', 'the views'],
  ['/', 'search'],
  ['j k', 'next and previous row'],
  ['Enter', 'open the row'],
  ['Esc', 'back, or drop a selection of time'],
  ['[ ]', 'previous and next trace'],
  ['arrows', 'along a chart or a tree'],
  ['e', 'next error in a trace'],
  ['l', 'next model call in a trace'],
  ['?', 'this page'],
];
let keysOn = true;
