// The Break it tab's choices: a press tells the server which; the focus stays on it when the panel is drawn anew.
let last = null;
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-act]");
  if (!button || button.disabled) return;
  last = `button[data-act="${button.dataset.act}"][data-key="${button.dataset.key}"]`;
  trigger("click", { act: button.dataset.act, key: button.dataset.key });
});
watch("value", () => requestAnimationFrame(() => {
  const lost = !document.activeElement || document.activeElement === document.body;
  if (last && lost) element.querySelector(last)?.focus({ preventScroll: true });
}));
