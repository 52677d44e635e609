// Keeps a page fresh: asks the address in `data-live` for JSON every `data-live-every` seconds and puts the values in place.
//
// Inside it, `data-live-text="name"` becomes a text, `data-live-value` the value of a <progress>, `data-live-href` a link and
// `data-live-label` a name for those who hear the page. `data-live-list="name"` holds a row for each item with a `key`, made
// from its <template>; rows that stay are not moved, so that nobody loses their place. `data-live-status` says how it goes.
// With `data-live-while` the page is loaded again once its `state` is another. A hidden tab asks nothing; after a failure it waits longer each time, a minute at most.
"use strict";

(() => {
  const LONGEST = 60;
  const PATIENCE = 15;
  const SIGNED_OUT = "You are signed out, and these numbers do not change any more. Load the page again.";
  const FORBIDDEN = "You may not see this any more, and these numbers do not change. Ask whoever looks after the users.";

  // What stands in a row of a list is the row's, and not the page's.
  const within = (root, name) => [root, ...root.querySelectorAll(`[data-live-${name}]`)].filter(
    (node) => node.matches(`[data-live-${name}]`) && node.closest("[data-live-list]") === root.closest("[data-live-list]"),
  );

  const each = (root, name, values, put) => {
    for (const node of within(root, name)) {
      const value = values[node.getAttribute(`data-live-${name}`)];
      if (value !== undefined) put(node, value);
    }
  };

  const show = (root, values) => {
    each(root, "text", values, (node, text) => { if (node.textContent !== text) node.textContent = text; });
    each(root, "value", values, (node, value) => { if (value === null) node.removeAttribute("value"); else node.value = value; });
    each(root, "href", values, (node, address) => node.setAttribute("href", address));
    each(root, "label", values, (node, name) => node.setAttribute("aria-label", name));
  };

  const showRows = (list, items) => {
    const template = list.querySelector("template");
    const gone = new Map([...list.children].filter((row) => row.dataset.liveKey).map((row) => [row.dataset.liveKey, row]));
    let last = template;
    for (const item of items) {
      const known = gone.get(item.key);
      const row = known ?? document.importNode(template.content.firstElementChild, true);
      row.dataset.liveKey = item.key;
      show(row, item);
      if (!known) last.after(row);
      gone.delete(item.key);
      last = row;
    }
    for (const row of gone.values()) row.remove();
  };

  const start = (page) => {
    const often = Number(page.dataset.liveEvery) || 5;
    const status = page.querySelector("[data-live-status]");
    let wait = often, timer, shownAt = page.dataset.liveAt, asking = false;

    const say = (words) => { if (status && status.textContent !== words) status.textContent = words; };

    // the values, or a sentence when there will be none any more
    const ask = async () => {
      const answer = await fetch(page.dataset.live, { headers: { Accept: "application/json" }, redirect: "manual", signal: AbortSignal.timeout(PATIENCE * 1000) });
      if (answer.type === "opaqueredirect" || answer.status === 401) return SIGNED_OUT;
      if (answer.status === 403) return FORBIDDEN;
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      return answer.json();
    };

    const round = async () => {
      if (asking || document.hidden) return;
      asking = true;
      try {
        const values = await ask();
        if (typeof values === "string") return say(values);
        if (page.dataset.liveWhile && values.state !== page.dataset.liveWhile) return location.reload();
        show(page, values);
        for (const list of page.querySelectorAll("[data-live-list]")) if (values[list.dataset.liveList]) showRows(list, values[list.dataset.liveList]);
        [wait, shownAt] = [often, values.at];
        say("");
        if (values.ended) return;
      } catch {
        wait = Math.min(wait * 2, LONGEST);
        say(`Connection lost: these numbers are of ${shownAt}. It is tried again in ${wait} seconds.`);
      } finally {
        asking = false;
      }
      clearTimeout(timer);
      timer = setTimeout(round, wait * 1000);
    };

    document.addEventListener("visibilitychange", () => { clearTimeout(timer); round(); });
    timer = setTimeout(round, wait * 1000);
  };

  for (const page of document.querySelectorAll("[data-live]")) start(page);
})();
