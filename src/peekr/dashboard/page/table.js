// Tables that sort, with bars in their cells.

/** What a shortened figure is in full: 1,234,567, $0.00123, 1,234.5 ms. */
const IN_FULL = {
  n: (value) => exact(value),
  ms: (value) => `${new Intl.NumberFormat('en-US', {maximumFractionDigits: 1}).format(value)} ms`,
  usd: (value) => `$${Number(value.toPrecision(10))}`,
};

/**
 * columns: [{key, title, value(row), shown(row), number, bar, wide, unit}]; rows: objects.
 * unit: n, ms or usd, for what is told to the pointer in full.
 * sort: {key, down}; onsort(key).
 */
function table(columns, rows, options) {
  const {sort, onsort, onrow, caption, rowClass} = options || {};
  const ordered = sort ? sortRows(columns, rows, sort) : rows;
  const most = {};
  for (const column of columns) if (column.bar) most[column.key] = Math.max(...rows.map((row) => column.value(row) || 0), 0);
  const head = columns.map((column) => {
    const state = sort && sort.key === column.key ? (sort.down ? 'descending' : 'ascending') : null;
    return h('th', {scope: 'col', role: 'columnheader', class: column.number ? 'number' : '', 'aria-sort': onsort ? state || 'none' : null},
      onsort ? button(column.title, () => onsort(column.key), {class: 'sort'}) : column.title,
      state ? h('span', {'aria-hidden': 'true'}, sort.down ? ' \u2193' : ' \u2191') : null);
  });
  const body = ordered.map((row) => {
    const cells = columns.map((column, place) => {
      const shown = column.shown ? column.shown(row) : column.value(row);
      const isHead = place === 0;
      const properties = {class: [column.number ? 'number' : '', column.wide ? 'wide' : '', column.bar ? 'barred' : ''].join(' ').trim() || null};
      const full = column.unit && !absent(column.value(row)) ? IN_FULL[column.unit](column.value(row)) : null;
      const cell = h(isHead ? 'th' : 'td', {...properties, title: full, scope: isHead ? 'row' : null, role: isHead ? 'rowheader' : 'cell', 'data-label': isHead ? null : column.title}, shown);
      if (column.bar && most[column.key] > 0) {
        const part = (column.value(row) || 0) / most[column.key];
        cell.prepend(h('span', {class: 'bar', 'aria-hidden': 'true', style: {width: `${(100 * part).toFixed(1)}%`}}));
      }
      return cell;
    });
    const made = h('tr', {role: 'row', class: rowClass ? rowClass(row) : null}, cells);
    if (onrow) {
      made.classList.add('opens');
      made.addEventListener('click', (event) => {
        if (!event.target.closest('a, button')) onrow(row);
      });
    }
    return made;
  });
  // The roles are those of the elements; on a phone, where rows are boxes, they would be lost.
  return h('div', {class: 'scroll'}, h('table', {role: 'table', class: onsort ? 'stacks sorts' : 'stacks'}, caption ? h('caption', {class: 'hidden'}, caption) : null,
    h('thead', {role: 'rowgroup'}, h('tr', {role: 'row'}, head)), h('tbody', {role: 'rowgroup'}, body)));
}

function sortRows(columns, rows, sort) {
  const column = columns.find((one) => one.key === sort.key) || columns[0];
  const sign = sort.down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const left = column.value(a);
    const right = column.value(b);
    // What is absent stands last, whichever way.
    if (absent(left) || absent(right)) return absent(left) - absent(right);
    return sign * (typeof left === 'string' ? left.localeCompare(right) : left - right);
  });
}

function sortOption(fallback) {
  const text = at.options.sort || fallback;
  return {key: text.replace(/^-/, ''), down: text.startsWith('-')};
}

function sortBy(key) {
  const now = sortOption('');
  // Of scores the lowest are looked for, of everything else the largest.
  const down = now.key === key ? !now.down : key !== 'score';
  change({sort: `${down ? '-' : ''}${key}`}, true);
}

function empty(text, ...more) {
  return h('div', {class: 'empty'}, h('p', {}, text), ...more);
}

function code(text) {
  return h('pre', {class: 'code', tabindex: '0'}, text);
}

function panel(title, ...children) {
  return h('section', {class: 'panel'}, title ? h('h3', {}, title) : null, ...children);
}

function field(label, control) {
  return h('label', {class: 'field'}, h('span', {}, label), control);
}

function picker(label, values, chosen, onchange) {
  return field(label, h('select', {onchange: (event) => onchange(event.target.value)},
    values.map(([value, text]) => h('option', {value, selected: value === chosen}, text))));
}
