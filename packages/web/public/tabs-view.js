/**
 * Tabs by the ARIA pattern: one tab stop for the row, arrow keys, Home and End move and choose.
 *
 * @param {HTMLElement} list the element with role "tablist"
 * @param {(from: HTMLElement, to: HTMLElement) => void} onChange
 * @returns {{ select: (tabId: string) => void }}
 */
export function createTabs(list, onChange) {
  const tabs = /** @type {HTMLElement[]} */ ([...list.querySelectorAll('[role="tab"]')]);

  /** @param {HTMLElement} chosen */
  const choose = (chosen) => {
    const before = tabs.find((tab) => tab.getAttribute('aria-selected') === 'true');
    if (before !== undefined && before !== chosen) onChange(before, chosen);
    for (const tab of tabs) {
      const isChosen = tab === chosen;
      tab.setAttribute('aria-selected', String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
      const panel = document.getElementById(tab.getAttribute('aria-controls') ?? '');
      if (panel !== null) panel.hidden = !isChosen;
    }
  };

  list.addEventListener('click', (event) => {
    const tab = tabs.find((one) => event.target instanceof Node && one.contains(event.target));
    if (tab !== undefined) choose(tab);
  });
  list.addEventListener('keydown', (event) => {
    const present = tabs.findIndex((tab) => tab === event.target);
    if (present === -1) return;
    const target = tabs[targetIndex(event.key, present, tabs.length)];
    if (target === undefined) return;
    event.preventDefault();
    choose(target);
    target.focus();
  });

  return {
    select(tabId) {
      const tab = tabs.find((one) => one.id === tabId);
      if (tab !== undefined) choose(tab);
    },
  };
}

/**
 * @param {string} key
 * @param {number} present
 * @param {number} count
 * @returns {number} −1 for a key that means nothing here
 */
function targetIndex(key, present, count) {
  if (key === 'ArrowRight') return (present + 1) % count;
  if (key === 'ArrowLeft') return (present - 1 + count) % count;
  if (key === 'Home') return 0;
  if (key === 'End') return count - 1;
  return -1;
}
