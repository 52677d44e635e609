// An action of a list asks first: the server writes down what would be done and to how many rows, the dialog of confirm.js
// asks, and the answer is sent to where the server said. Where anything of this fails the list's form is sent as it is, and
// the server asks on a page of its own. Which actions ask stands in `data-asking` of templates/admin/bulk_actions.html.
"use strict";

(() => {
  const begin = document.getElementById("bulk-begin");
  const list = document.getElementById("changelist-form");
  if (!begin || !list) return;
  const asking = new Set(begin.dataset.asking.split(" "));
  let plain = false;

  const tooLong = { title: "This took too long", text: "The database could not count so many rows in time. Choose narrower filters, or fewer rows." };

  const question = async (data) => {
    const answer = await fetch(location.href, { method: "POST", body: data, headers: { Accept: "application/json" }, redirect: "manual" });
    if (answer.status === 503) return tooLong;
    if (!answer.ok || !answer.headers.get("Content-Type").startsWith("application/json")) throw new Error(`status ${answer.status}`);
    return answer.json();
  };

  list.addEventListener("submit", async (event) => {
    const run = event.submitter;
    const action = list.elements.action?.value;
    if (plain || run?.name !== "index" || !asking.has(action) || !list.querySelector("input.action-select:checked")) return;
    event.preventDefault();
    if (run.getAttribute("aria-busy") === "true") return;
    run.setAttribute("aria-busy", "true");
    try {
      const asked = await question(new FormData(list, run));
      if (await confirmed(asked)) {
        begin.action = asked.begin;
        begin.submit();
      } else {
        run.focus();
      }
    } catch {
      plain = true;
      list.requestSubmit(run);
    } finally {
      run.removeAttribute("aria-busy");
    }
  });
})();
