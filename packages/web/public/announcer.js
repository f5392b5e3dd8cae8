/** News within this time is told together: a resume may bring dozens of notifications at once. */
const GATHER_MS = 600;

/**
 * Tells screen readers about news through a live region: what comes within a short while is counted and told in one
 * sentence.
 *
 * @param {HTMLElement} region
 */
export function createAnnouncer(region) {
  let count = 0;
  /** @type {(count: number) => string} */
  let sentence = () => '';
  /** @type {ReturnType<typeof setTimeout> | null} */
  let timer = null;
  return {
    /** @param {(count: number) => string} sentenceFor the sentence for as many pieces of news as were gathered */
    announce(sentenceFor) {
      count += 1;
      sentence = sentenceFor;
      timer ??= setTimeout(() => {
        timer = null;
        region.textContent = sentence(count);
        count = 0;
      }, GATHER_MS);
    },
  };
}
