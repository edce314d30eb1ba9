// Where the keyboard is when what had it is gone: a button that turned into another, a row that was
// deleted. Browsers then begin again at the top of the page.

const FOCUSABLE = 'a[href], button:not(:disabled), summary';

/** Moves the focus to what took the place of what had it, else to what is nearest. */
export function keepFocus(root: HTMLElement): { destroy(): void } {
  let last: EventTarget | null = null;
  const onFocus = ({ target }: FocusEvent): void => void (last = target);
  const observer = new MutationObserver((changes) => {
    const lost = last;
    if (!(lost instanceof Node) || lost.isConnected || document.activeElement !== document.body) return;
    last = null;
    const place = changes.find(({ removedNodes }) => [...removedNodes].some((node) => node.contains(lost)))?.target;
    const here = changes.filter(({ target }) => target === place).flatMap(({ addedNodes }) => [...addedNodes]);
    (here.map(firstIn).find((found) => found) ?? nearest(place, root)).focus({ preventScroll: true });
  });
  root.addEventListener('focusin', onFocus);
  observer.observe(root, { childList: true, subtree: true });
  return {
    destroy() {
      observer.disconnect();
      root.removeEventListener('focusin', onFocus);
    },
  };
}

function firstIn(node: Node): HTMLElement | undefined {
  if (!(node instanceof HTMLElement)) return undefined;
  return node.matches(FOCUSABLE) ? node : (node.querySelector<HTMLElement>(FOCUSABLE) ?? undefined);
}

function nearest(place: Node | null | undefined, root: HTMLElement): HTMLElement {
  for (let near = place; near && near !== root; near = near.parentNode) {
    const found = firstIn(near);
    if (found) return found;
  }
  return root.querySelector('main') ?? root;
}
