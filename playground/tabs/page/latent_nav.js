// Which section is seen is the page's own affair: a style sheet of one rule shows it, at once and without asking.
const rule = document.head.appendChild(document.createElement('style'));
let chosen = 'interpolate';
const show = (wanted) => {
  const buttons = [...element.querySelectorAll('[data-section]')];
  if (!buttons.length) return;
  chosen = buttons.some((button) => button.dataset.section === wanted) ? wanted : buttons[0].dataset.section;
  buttons.forEach((button) => button.setAttribute('aria-pressed', String(button.dataset.section === chosen)));
  rule.textContent = `.pg-latent-part:not(.pg-part-${chosen}) { display: none !important; }`;
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-section]');
  if (button) show(button.dataset.section);
});
watch('value', () => show(chosen));
show(chosen);
