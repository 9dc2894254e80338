// Elements, made of text alone: whatever was recorded is never read as markup.

const SVG = 'http://www.w3.org/2000/svg';
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Control and direction marks shown instead of obeyed: U+202E. */
function visible(text) {
  return String(text).replace(HIDDEN, (c) => `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`);
}

function put(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
  return element;
}

function set(element, properties) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') for (const [key, v] of Object.entries(value)) element.style.setProperty(key, v);
    else if (name === 'class') element.setAttribute('class', value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  return element;
}

/** h('td', {class: 'number'}, 'text', h('b', {}, 'more')) */
function h(tag, properties, ...children) {
  return put(set(document.createElement(tag), properties), children);
}

function svg(tag, properties, ...children) {
  return put(set(document.createElementNS(SVG, tag), properties), children);
}

/** A stranger's text: its direction stays inside. */
function said(text, properties) {
  return h('bdi', properties || {}, text);
}

function clear(element) {
  element.replaceChildren();
  return element;
}

function announce(text) {
  const live = document.getElementById('live');
  if (live.textContent !== text) live.textContent = text;
}

function button(label, action, properties) {
  return h('button', {type: 'button', onclick: action, ...properties}, label);
}

function link(hash, ...children) {
  return h('a', {href: hash}, ...children);
}
