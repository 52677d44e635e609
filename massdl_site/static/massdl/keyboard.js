// Unfold opens its menus and filters from elements that only a mouse reaches. Here they become buttons: Tab reaches them, Enter
// and Space press them. What they open gets the focus; Escape closes it and gives the focus back.
//
// Unfold's bar of actions comes before the rows, but is used after some were selected: then the next Tab reaches a way to it.
"use strict";

(() => {
  const OPENERS = ":is(a:not([href]), div, span)[x-on\\:click]:not(#changelist-filter-close)";
  const INSIDE = ":is(a[href], button, input:not([type=hidden]), select, textarea, [tabindex='0']):not([tabindex='-1'], [role=region])";
  const ACTION = "#changelist-actions select[name=action]";
  const FRAMES = 60; // a second in which something opens
  // By what an element does: its name where it shows a symbol only, and what it opens.
  const PARTS = {
    filterOpen: { opens: () => document.getElementById("changelist-filter"), closesItself: true },
    openUserLinks: { opens: (opener) => opener.previousElementSibling },
    sidebarMobileOpen: { name: "Menu", opens: () => document.getElementById("nav-sidebar") },
    sidebarDesktopOpen: { name: "Menu beside the page" },
    openTheme: { name: "Light or dark", opens: (opener) => opener.nextElementSibling },
    openRelatedWidgetWrapper: { name: "More to do with this choice", opens: (opener) => menuOfChoice(opener) },
    showPassword: { name: "Show the password" },
  };
  let last = null; // the opener whose box may be open

  const partOf = (opener) => Object.entries(PARTS).find(([does]) => opener.getAttribute("x-on:click").includes(does))?.[1] ?? {};
  const boxOf = (opener) => partOf(opener).opens?.(opener) ?? null;
  const menuOfChoice = (opener) => document.querySelector(`nav#${opener.closest("[data-id]").dataset.id}`);

  const focusInside = (box, frames = FRAMES) => {
    const first = [...box.querySelectorAll(INSIDE)].find((one) => one.checkVisibility({ visibilityProperty: true }));
    if (first) first.focus();
    else if (frames) requestAnimationFrame(() => focusInside(box, frames - 1));
  };

  const press = (opener) => {
    const box = boxOf(opener);
    const closes = !box || box.contains(opener) || (box.checkVisibility() && !partOf(opener).closesItself);
    opener.click();
    if (!closes) {
      last = opener;
      focusInside(box);
    } else if (box?.contains(opener)) {
      last?.focus();
    }
  };

  const close = () => {
    const box = last && boxOf(last);
    if (!box?.checkVisibility() || !box.contains(document.activeElement)) return;
    if (!partOf(last).closesItself) last.click();
    last.focus();
  };

  const makeButton = (opener) => {
    opener.setAttribute("role", "button");
    opener.tabIndex = 0;
    const { name } = partOf(opener);
    if (name) opener.setAttribute("aria-label", name);
  };

  const toActions = document.createElement("button");
  toActions.type = "button";
  toActions.textContent = "Go to the actions";
  toActions.className = "massdl-to-actions bg-primary-600 font-medium px-3 py-1 rounded-default text-white whitespace-nowrap";
  toActions.addEventListener("click", () => document.querySelector(ACTION).focus());

  document.addEventListener("change", ({ target }) => {
    if (!target.matches("input.action-select, #action-toggle") || !document.querySelector(ACTION)) return;
    (target.closest("label") ?? target).after(toActions);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return close();
    if ((event.key !== "Enter" && event.key !== " ") || !event.target.matches(OPENERS)) return;
    event.preventDefault();
    press(event.target);
  });
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(OPENERS).forEach(makeButton));
})();
