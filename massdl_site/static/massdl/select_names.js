// The box that select2 shows in place of a <select> is called like its field; select2 alone gives it no name for those who
// hear the page.
"use strict";

(() => {
  const nameIt = (container) => {
    const select = container.previousElementSibling;
    const label = select?.id && document.querySelector(`label[for="${select.id}"]`);
    const box = container.querySelector(".select2-selection");
    const shown = container.querySelector(".select2-selection__rendered");
    if (!label || !shown) return;
    label.id ||= `label-of-${select.id}`;
    box.setAttribute("aria-labelledby", `${label.id} ${shown.id}`);
    shown.setAttribute("aria-labelledby", label.id);
  };

  new MutationObserver((changes) => {
    for (const change of changes)
      for (const node of change.addedNodes)
        if (node.nodeType === Node.ELEMENT_NODE && node.matches("select + .select2-container")) nameIt(node);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
