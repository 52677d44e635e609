// Asks before something is done, in the dialog of templates/admin/confirmation.html. "Go back" has the focus, Escape goes
// back, too. A button with data-confirm asks before its form is sent. What it says stands on the button:
//   data-confirm        what will happen, in whole sentences
//   data-confirm-title  the question; without it, the button's text
//   data-confirm-yes    the text of the answer; without it, the button's text
"use strict";

// Shows the question; resolves with whether the answer was yes. Without `yes` there is nothing to agree to.
const confirmed = ({ title, text, yes }) => new Promise((resolve) => {
  const dialog = document.getElementById("confirmation");
  const button = dialog.querySelector("button[value=yes]");
  dialog.querySelector("#confirmation-title").textContent = title;
  dialog.querySelector("#confirmation-text").textContent = text;
  button.textContent = yes || "";
  button.hidden = !yes;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  dialog.showModal();
});

const agreed = new WeakSet();

document.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (!button || !("confirm" in button.dataset) || agreed.delete(button)) return;
  event.preventDefault();
  const text = button.innerText.trim();
  const question = { title: button.dataset.confirmTitle || `${text}?`, text: button.dataset.confirm, yes: button.dataset.confirmYes || text };
  if (await confirmed(question)) {
    agreed.add(button);
    button.form.requestSubmit(button);
  } else {
    button.focus();
  }
}, true);
