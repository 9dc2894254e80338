// What was said: conversations, tool calls, JSON, long texts; all of it plain text.

const FEW_LINES = 12;
const MASKED = /\[(EMAIL|PHONE|SSN|CREDIT_CARD|IP_ADDRESS|BLOCKED|REDACTED)\]/g;

/** A text with its masks outlined, folded beyond twelve lines; a cut one says what is missing. */
function prose(value, properties) {
  if (value && typeof value === 'object' && Array.isArray(value.cut)) {
    const [first, last, total] = value.cut;
    return h('div', {}, prose(first), h('p', {class: 'muted'}, `first ${exact(first.length)} and last ${exact(last.length)} of ${exact(total)} characters`), prose(last));
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const lines = text.split('\n');
  const isLong = lines.length > FEW_LINES || text.length > 1600;
  const whole = h('div', {class: 'prose', ...properties}, marked(text));
  if (!isLong) return whole;
  const part = lines.slice(0, FEW_LINES).join('\n').slice(0, 1600);
  const few = h('div', {class: 'prose', ...properties}, marked(part), '\u2026');
  const box = h('div', {}, few);
  box.append(button(`Show all ${exact(text.length)} characters`, (event) => {
    few.replaceWith(whole);
    event.target.remove();
  }, {class: 'quiet'}));
  return box;
}

function marked(text) {
  const made = [];
  let end = 0;
  for (const found of text.matchAll(MASKED)) {
    made.push(text.slice(end, found.index), h('mark', {}, found[0]));
    end = found.index + found[0].length;
  }
  made.push(text.slice(end));
  return h('bdi', {}, made);
}

function isPlain(value) {
  return value === null || typeof value !== 'object';
}

/** JSON as a tree of rows, folded from the second level. */
function tree(value, depth) {
  const level = depth || 0;
  if (typeof value === 'string') return value.length > 200 || value.includes('\n') ? prose(value) : said(JSON.stringify(value), {class: 'json'});
  if (isPlain(value)) return h('span', {class: 'json'}, String(value));
  if (Array.isArray(value.cut) && value.cut.length === 3) return prose(value);
  const entries = Array.isArray(value) ? value.map((entry, i) => [String(i), entry]) : Object.entries(value);
  if (!entries.length) return h('span', {class: 'json'}, Array.isArray(value) ? '[]' : '{}');
  const rows = h('dl', {class: 'tree'}, entries.map(([key, entry]) => [h('dt', {}, key), h('dd', {}, tree(entry, level + 1))]));
  if (level < 2) return rows;
  const label = Array.isArray(value) ? plural(entries.length, 'entry', 'entries') : plural(entries.length, 'key');
  return h('details', {}, h('summary', {}, label), rows);
}

function isMessages(value) {
  return Array.isArray(value) && value.length > 0 && value.every((entry) => entry && typeof entry === 'object' && typeof entry.role === 'string');
}

/** An input or an output, whatever it is. */
function content(value, options) {
  if (value === null || value === undefined) return h('p', {class: 'muted'}, 'Nothing was recorded.');
  if (typeof value === 'string' || Array.isArray(value.cut)) return prose(value);
  if (isMessages(value)) return conversation(value, options || {});
  return tree(value);
}

/** Messages under their roles; those of the call before are folded. */
function conversation(messages, options) {
  const before = options.before || [];
  let same = 0;
  while (same < before.length && same < messages.length - 1 && JSON.stringify(before[same]) === JSON.stringify(messages[same])) same++;
  const made = messages.map((entry, i) => messageBlock(entry, i, options));
  if (same > 1) {
    const folded = h('details', {class: 'earlier'}, h('summary', {}, `${plural(same, 'earlier message')}, as in ${options.beforeName || 'the call before'}`), made.slice(0, same));
    return h('div', {class: 'conversation'}, folded, made.slice(same));
  }
  return h('div', {class: 'conversation'}, made);
}

function messageBlock(entry, place, options) {
  const parts = [];
  if (entry.content !== null && entry.content !== undefined) parts.push(...contentParts(entry.content));
  for (const call of Array.isArray(entry.tool_calls) ? entry.tool_calls : []) parts.push(toolCall(call, options));
  const head = [h('h5', {}, entry.role)];
  if (entry.tool_call_id) head.push(h('span', {class: 'muted mono'}, ` answers ${entry.tool_call_id}`));
  const block = h('article', {class: `message role-${/^(system|user|assistant|tool|developer)$/.test(entry.role) ? entry.role : 'other'}`, 'data-answers': entry.tool_call_id || null}, h('header', {}, head), parts);
  if (entry.role !== 'system' && entry.role !== 'developer') return block;
  const line = typeof entry.content === 'string' ? entry.content.replace(/\s+/g, ' ').slice(0, 100) : '';
  return h('details', {class: 'system'}, h('summary', {}, h('b', {}, entry.role), ' ', said(line)), block);
}

function contentParts(value) {
  if (typeof value === 'string' || (value && Array.isArray(value.cut))) return [prose(value)];
  if (!Array.isArray(value)) return [tree(value)];
  return value.map((part) => {
    if (typeof part === 'string') return prose(part);
    if (!part || typeof part !== 'object') return tree(part);
    const text = part.content ?? part.text;
    if (part.type === 'text' && text !== undefined) return prose(text);
    if (part.type === 'reasoning') return h('details', {}, h('summary', {}, 'Reasoning'), prose(text ?? ''));
    if (['blob', 'uri', 'file'].includes(part.type)) return media(part);
    return h('div', {}, h('p', {class: 'muted'}, part.type || 'part'), tree(part));
  });
}

/** Media by what is known of it; it is never loaded. */
function media(part) {
  const facts = [part.modality || part.type, part.mime_type, part.size ? `${exact(part.size)} bytes` : '', part.uri || part.file_id || (part.sha256 ? `sha256 ${String(part.sha256).slice(0, 16)}` : '')];
  return h('p', {class: 'media'}, '\u25a3 ', said(facts.filter(Boolean).join(', ')));
}

function toolCall(call, options) {
  const name = call.name || (call.function && call.function.name) || 'tool';
  const given = call.arguments ?? (call.function && call.function.arguments);
  const result = options.resultOf ? options.resultOf(call.id) : null;
  return h('div', {class: 'tool-call'},
    h('p', {}, h('b', {}, '\u2192 ', said(name)), call.id ? h('span', {class: 'muted mono'}, ` ${call.id}`) : null,
      result ? [' ', button('result', result, {class: 'quiet'})] : null),
    given === undefined || given === null ? null : typeof given === 'object' && !Array.isArray(given.cut) ? argumentsTable(given) : prose(given));
}

function argumentsTable(given) {
  const entries = Object.entries(given);
  if (!entries.length) return h('p', {class: 'muted'}, 'no arguments');
  return h('table', {class: 'arguments'}, h('tbody', {}, entries.map(([key, value]) => h('tr', {}, h('th', {scope: 'row'}, key), h('td', {}, tree(value, 1))))));
}
