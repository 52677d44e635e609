// A button with data-confirm asks before its form is sent. What it says stands on the button:
//   data-confirm        what will happen, in whole sentences
//   data-confirm-title  the question; without it, the button's text
//   data-confirm-yes    the text of the answer; without it, the button's text
// The dialog is templates/admin/confirmation.html. "Go back" has the focus, Escape goes back, too.
"use strict";

const agreed = new WeakSet();

function ask(button) {
  const dialog = document.getElementById("confirmation");
  const yes = dialog.querySelector("button[value=yes]");
  const text = button.innerText.trim();
  dialog.querySelector("#confirmation-title").textContent = button.dataset.confirmTitle || `${text}?`;
  dialog.querySelector("#confirmation-text").textContent = button.dataset.confirm;
  yes.textContent = button.dataset.confirmYes || text;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => answered(button, dialog.returnValue), { once: true });
  dialog.showModal();
}

function answered(button, answer) {
  if (answer === "yes") {
    agreed.add(button);
    button.form.requestSubmit(button);
  } else {
    button.focus();
  }
}

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button || !("confirm" in button.dataset) || agreed.delete(button)) return;
  event.preventDefault();
  ask(button);
}, true);
