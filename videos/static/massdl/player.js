// Says so where a stored file cannot be played: the browser alone would stay silent.
for (const player of document.querySelectorAll("[data-player]")) {
  const sentence = player.parentElement.querySelector("[data-player-failed]");
  player.addEventListener("error", () => sentence.classList.remove("hidden"));
  player.addEventListener("playing", () => sentence.classList.add("hidden"));
}
