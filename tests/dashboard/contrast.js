// Texts that stand out from their ground by less than 4.5:1 (WCAG 2.2, 1.4.3).
() => {
    const numbers = (text) => (text.match(/[\d.]+/g) || []).map(Number);
    const light = ([r, g, b]) => {
        const part = [r, g, b].map((v) => {
            const c = v / 255;
            return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
    };
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const found = numbers(getComputedStyle(at).backgroundColor);
            if (found.length === 3 || found[3] === 1) return found.slice(0, 3);
        }
        return [255, 255, 255];
    };
    const poor = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const element = node.parentElement;
        if (!node.data.trim() || element.closest('script, style, noscript, option, .hidden, .skip')) continue;
        const style = getComputedStyle(element);
        if (style.visibility === 'hidden' || !element.getClientRects().length) continue;
        const ink = element.closest('svg') ? style.fill : style.color;
        const [a, b] = [light(numbers(ink)), light(ground(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) poor.push([node.data.trim().slice(0, 40), element.className, ratio]);
    }
    return poor;
}
