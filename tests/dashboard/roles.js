// What a screen reader would not make sense of.
() => {
    const wrong = [];
    const name = (e) => (e.getAttribute('aria-label') || e.textContent || e.title || '').trim();
    for (const e of document.querySelectorAll('button, a[href]')) {
        if (!name(e)) wrong.push(`no name: ${e.outerHTML.slice(0, 80)}`);
    }
    for (const e of document.querySelectorAll('select, input, textarea')) {
        if (!e.closest('label') && !e.getAttribute('aria-label')) wrong.push(`no label: ${e.outerHTML.slice(0, 80)}`);
    }
    for (const e of document.querySelectorAll('[role=img]')) {
        if (!e.getAttribute('aria-label')) wrong.push('a picture without a text');
    }
    for (const e of document.querySelectorAll('svg:not([role=img]):not([aria-hidden=true])')) wrong.push(`svg: ${e.outerHTML.slice(0, 60)}`);
    for (const e of document.querySelectorAll('[role=row]')) {
        if (!e.closest('[role=grid], [role=treegrid], [role=table]')) wrong.push('a row of no table');
        if (!e.querySelector('[role=gridcell], [role=cell], [role=columnheader], [role=rowheader]')) wrong.push('a row without cells');
    }
    for (const e of document.querySelectorAll('[role=tab]')) {
        if (!document.getElementById(e.getAttribute('aria-controls'))) wrong.push('a tab of nothing');
        if (!e.closest('[role=tablist]')) wrong.push('a tab outside of a list');
    }
    for (const e of document.querySelectorAll('main th')) {
        if (!e.getAttribute('scope')) wrong.push(`a heading of nothing: ${e.textContent}`);
    }
    const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`id twice: ${id}`);
    const levels = [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map((e) => Number(e.tagName[1]));
    if (levels[0] !== 1) wrong.push('does not begin with h1');
    if (document.querySelectorAll('main').length !== 1 || !document.documentElement.lang) wrong.push('main, lang');
    return wrong;
}
