// Numbers as people read them; what is absent is an en dash, never a zero.

const NONE = '\u2013';
const CENTS = new Intl.NumberFormat('en-US', {minimumFractionDigits: 2, maximumFractionDigits: 2});
const WHOLE = new Intl.NumberFormat('en-US', {maximumFractionDigits: 0});

function absent(value) {
  return value === null || value === undefined || Number.isNaN(value) || value === -1;
}

/** 1,234  12.3k  1.2M */
function count(value) {
  if (absent(value)) return NONE;
  const size = Math.abs(value);
  if (size < 10000) return WHOLE.format(value);
  if (size < 999500) return `${(value / 1e3).toFixed(size < 99950 ? 1 : 0)}k`;
  if (size < 999.5e6) return `${(value / 1e6).toFixed(size < 99.95e6 ? 1 : 0)}M`;
  return `${(value / 1e9).toFixed(1)}B`;
}

function exact(value) {
  return absent(value) ? NONE : WHOLE.format(value);
}

/** $0.0031  $0.31  $12.40 */
function money(usd) {
  if (usd === null || usd === undefined || Number.isNaN(usd)) return NONE;
  if (usd === 0) return '$0';
  const size = Math.abs(usd);
  if (size >= 9999.5) return `$${WHOLE.format(usd)}`;
  if (size >= 999.5) return `$${CENTS.format(usd)}`;
  if (size >= 0.095) return `$${usd.toFixed(2)}`;
  if (size >= 0.00095) return `$${usd.toFixed(4)}`;
  return `$${usd.toPrecision(2)}`;
}

/** 0.4 ms, 843 ms, 2.4 s, 12 min 31 s, 3 h 02 min */
function took(ms) {
  if (absent(ms)) return NONE;
  if (ms === 0) return '0 ms';
  if (ms < 9.95) return `${ms.toFixed(ms < 0.095 ? 2 : 1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  const hours = Math.floor(whole / 3600);
  if (hours < 48) return `${hours} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** 1.7%  <0.1%; of nothing: an en dash */
function share(part, whole) {
  if (!whole) return NONE;
  const percent = (100 * part) / whole;
  if (percent === 0) return '0%';
  if (percent < 0.1) return '<0.1%';
  return percent > 99.9 && percent < 100 ? '>99.9%' : `${percent.toFixed(percent < 9.95 ? 1 : 0)}%`;
}

function plural(n, one, many) {
  return `${exact(n)} ${n === 1 ? one : many || `${one}s`}`;
}

let zone; // undefined is the reader's own

function dateParts(seconds, options) {
  return new Intl.DateTimeFormat('en-GB', {timeZone: zone, hourCycle: 'h23', ...options}).format(new Date(seconds * 1000));
}

/** A day and a time; with the year where it is asked for and is not that of the page. */
function moment(seconds, withYear) {
  if (absent(seconds) || !Number.isFinite(seconds)) return NONE;
  try {
    const isOld = withYear && dateParts(seconds, {year: 'numeric'}) !== dateParts(core.made, {year: 'numeric'});
    return dateParts(seconds, {...(isOld ? {year: 'numeric'} : {}), day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit'});
  } catch {
    return NONE;
  }
}

function day(seconds) {
  try {
    return dateParts(seconds, {day: 'numeric', month: 'short'});
  } catch {
    return NONE;
  }
}

/** A tick of the axis of time, by the width of its buckets. */
function tick(seconds, step) {
  if (step >= 86400) return day(seconds);
  const clock = dateParts(seconds, {hour: '2-digit', minute: '2-digit'});
  return clock === '00:00' || step >= 21600 ? `${day(seconds)} ${clock}` : clock;
}

const STEP_NAMES = {60: 'minute', 300: '5 minutes', 900: '15 minutes', 3600: 'hour', 21600: '6 hours', 86400: 'day', 604800: 'week', 2419200: '4 weeks', 31449600: '52 weeks', 314496000: '10 years', 3144960000: 'century'};
